UPDATE meta SET node = ?1, boot = ?2 WHERE id = 1
