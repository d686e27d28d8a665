SELECT
    (SELECT count(*) FROM terms WHERE stream = ?1)
    + (SELECT count(*) FROM terms_new WHERE stream = ?1)
