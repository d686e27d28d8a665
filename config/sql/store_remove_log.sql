DELETE FROM log WHERE id IN (
    SELECT log.id
    FROM span CROSS JOIN log ON log.segment = span.segment AND log.stream = span.stream
    WHERE span.stream = ?1
    ORDER BY span.lsn, log.lsn
    LIMIT ?2
)
