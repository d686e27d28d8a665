SELECT id FROM streams WHERE concern = ?1 AND instance = ?2
