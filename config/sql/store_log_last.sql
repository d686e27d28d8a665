SELECT max(id) FROM log
