SELECT format, epoch FROM capstan_inbox_meta WHERE id = 1
