ROLLBACK TO capstan_command
