SELECT
    (SELECT count(*) FROM log WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT count(*) FROM span WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT count(*) FROM snapshots WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT count(*) FROM terms WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT count(*) FROM terms_new WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT abs(count(*) - 256) FROM owners)
