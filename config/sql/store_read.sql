-- The rows of stream ?1 from the one that contains lsn ?2, or, if that is gone, the next one.
-- The joins are written so that both tables are walked in the order of their keys.
WITH start(span_lsn, segment) AS (
    SELECT lsn, segment FROM span WHERE stream = ?1 AND lsn <= ?2 ORDER BY lsn DESC LIMIT 1
)
SELECT log.lsn, log.count, log.checksum, log.records
FROM span CROSS JOIN log ON log.segment = span.segment AND log.stream = span.stream
WHERE span.stream = ?1
    AND span.lsn >= coalesce((SELECT span_lsn FROM start), ?2)
    AND log.stream = ?1
    AND log.lsn >= coalesce(
        (SELECT first.lsn FROM log AS first
         WHERE first.segment = (SELECT segment FROM start) AND first.stream = ?1 AND first.lsn <= ?2
         ORDER BY first.lsn DESC LIMIT 1),
        ?2)
ORDER BY span.lsn, log.lsn
