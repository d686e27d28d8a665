SELECT
    (SELECT count(*) FROM log WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT count(*) FROM span WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT count(*) FROM snapshots WHERE stream NOT IN (SELECT id FROM streams))
    + (SELECT abs(count(*) - 256) FROM owners)
