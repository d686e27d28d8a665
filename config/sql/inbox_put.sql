INSERT OR REPLACE INTO capstan_inbox
    (number, task, saga, state, attempt, changed_us, result, undo_result, error, text)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
