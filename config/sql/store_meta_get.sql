SELECT format, node, boot FROM meta WHERE id = 1
