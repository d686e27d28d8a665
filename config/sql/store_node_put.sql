INSERT INTO nodes (node, name, boot) VALUES (?1, ?2, ?3)
ON CONFLICT (node) DO UPDATE SET name = excluded.name, boot = excluded.boot
