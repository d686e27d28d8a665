SELECT state, attempt, result, undo_result, error, text
FROM capstan_inbox WHERE number = ?1 AND task = ?2 AND saga = ?3
