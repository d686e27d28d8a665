DELETE FROM span
WHERE stream = ?1 AND lsn < ?2 AND NOT EXISTS (
    SELECT 1 FROM log WHERE log.segment = span.segment AND log.stream = span.stream
)
