-- Two finished restores for every tenth instance.
SET session_replication_role = replica;
INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id, status, bytes_processed,
                      triggered_at, started_at, finished_at, updated_at)
SELECT b.service_instance_id, b.id, b.backup_id, b.triggered_at, 'r-' || b.backup_id, 'done', b.size,
       b.triggered_at + interval '1 day', b.triggered_at + interval '1 day', b.triggered_at + interval '1 day',
       b.triggered_at + interval '1 day'
FROM backups AS b
WHERE b.status = 'done' AND b.id < {new} AND b.service_instance_id % 10 = 0
  AND (b.id - {backup}) / {instances} IN ({generations} / 3, {generations} / 2);
RESET session_replication_role;
ANALYZE restores;
