-- Generations {first} to {last} of one finished backup a day per instance, the oldest first; one in fifty failed.
SET session_replication_role = replica;
INSERT INTO backups (id, service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix, size,
                     checksum, filter_plugins, bytes_processed, total_bytes_estimate, reason_code, msg, dispatch_epoch,
                     may_be_at_agent, triggered_at, started_at, finished_at, updated_at)
OVERRIDING SYSTEM VALUE
SELECT {backup} + g::bigint * {instances} + i, {instance} + i,
       '{backup_guid}' || ({number} + i) || '-' || (extract(epoch FROM moment) * 1000)::bigint,
       CASE WHEN has_failed THEN 'failed' ELSE 'done' END, true, {key} + i, 'local',
       'backups/{backup_guid}' || ({number} + i), CASE WHEN has_failed THEN 0 ELSE 1000000 + (i * 7919) % 900000000 END,
       CASE WHEN NOT has_failed THEN encode(sha256((g || '/' || i)::bytea), 'hex') END,
       '["zstd", "age"]', 4000000, 4100000, CASE WHEN has_failed THEN 'data_service_error' END,
       CASE WHEN has_failed THEN 'the data service refused the connection' END, 1, true,
       moment, moment + interval '2 s', moment + interval '95 s', moment + interval '95 s'
FROM generate_series({first}, {last}) AS g, generate_series(1, {instances}) AS i,
     LATERAL (SELECT date_trunc('milliseconds', now()) - make_interval(days => 400 - g) + make_interval(secs => i % 3600) AS moment,
                     (g * 31 + i) % 50 = 0 AND g > 0 AS has_failed) AS t;
RESET session_replication_role;
VACUUM ANALYZE;
CHECKPOINT;
