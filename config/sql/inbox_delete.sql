DELETE FROM capstan_inbox
WHERE (number, task, saga) > (?1, ?2, ?3) AND (number, task, saga) <= (?4, ?5, ?6)
    AND changed_us < ?7
