UPDATE log SET checksum = ?3, records = ?4
WHERE segment = (SELECT segment FROM span WHERE stream = ?1 AND lsn <= ?2 ORDER BY lsn DESC LIMIT 1)
    AND stream = ?1 AND lsn = ?2
