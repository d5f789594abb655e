-- Instances and their current keys. The guards of the schema look away: the rows did not get here step by step.
SET session_replication_role = replica;
INSERT INTO service_brokers (name) VALUES ('bench') ON CONFLICT DO NOTHING;
INSERT INTO service_instances (id, guid, backup_guid, service_broker_id, state, deployment_name, plan_guid, service_guid,
                               organization_guid, space_guid, data_service, store, agent_url, last_done_at)
OVERRIDING SYSTEM VALUE
SELECT {instance} + i, '{guid}' || ({number} + i), '{backup_guid}' || ({number} + i),
       (SELECT id FROM service_brokers WHERE name = 'bench'), 'provisioned', 'd' || i,
       gen_random_uuid()::text, gen_random_uuid()::text, gen_random_uuid()::text, gen_random_uuid()::text,
       'postgresql', 'local', 'https://d' || i || '.example:9443', now() - interval '3 hours'
FROM generate_series(1, {instances}) AS i;
INSERT INTO encryption_keys (id, service_instance_id, ciphertext, master_key_id, is_own)
OVERRIDING SYSTEM VALUE
SELECT {key} + i, {instance} + i, decode(repeat('5a', 93), 'hex'), 'local-1', false
FROM generate_series(1, {instances}) AS i;
ALTER TABLE backups ALTER id RESTART WITH {new};
