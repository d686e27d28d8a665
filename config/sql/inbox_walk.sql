SELECT number, task, saga, changed_us FROM capstan_inbox
WHERE (number, task, saga) > (?1, ?2, ?3) ORDER BY number, task, saga LIMIT ?4
