-- As store_terms_up, of all rows.
SELECT key FROM snapshots WHERE stream = ?1 AND key >= ?3 ORDER BY key
