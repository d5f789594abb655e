-- A hundred finished backups of each instance, one a day, the newest of yesterday; one in fifty failed. The guards of the
-- schema look away: the rows did not get here step by step.
SET session_replication_role = replica;
INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix, size,
                     checksum, filter_plugins, bytes_processed, total_bytes_estimate, reason_code, msg, dispatch_epoch,
                     may_be_at_agent, triggered_at, started_at, finished_at, updated_at)
SELECT i.id, i.backup_guid || '-' || (extract(epoch FROM moment) * 1000)::bigint,
       CASE WHEN has_failed THEN 'failed' ELSE 'done' END, true, k.id, 'local', 'backups/' || i.backup_guid,
       CASE WHEN has_failed THEN 0 ELSE 1000000 + (i.id * 7919) % 900000000 END,
       CASE WHEN NOT has_failed THEN encode(sha256((g || '/' || i.id)::bytea), 'hex') END,
       '["zstd", "age"]', 4000000, 4100000, CASE WHEN has_failed THEN 'data_service_error' END,
       CASE WHEN has_failed THEN 'the data service refused the connection' END, 1, true,
       moment, moment + interval '2 s', moment + interval '95 s', moment + interval '95 s'
FROM generate_series(0, 99) AS g
     CROSS JOIN service_instances AS i JOIN encryption_keys AS k ON k.service_instance_id = i.id AND k.is_current,
     LATERAL (SELECT date_trunc('milliseconds', now()) - make_interval(days => 100 - g) + make_interval(secs => i.id % 3600) AS moment,
                     (g * 31 + i.id) % 50 = 0 AND g > 0 AS has_failed) AS t;
RESET session_replication_role;
VACUUM ANALYZE;
CHECKPOINT;
