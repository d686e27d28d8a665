UPDATE capstan_inbox_meta SET epoch = ?1 WHERE id = 1
