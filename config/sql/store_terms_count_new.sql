SELECT count(*) FROM terms_new
