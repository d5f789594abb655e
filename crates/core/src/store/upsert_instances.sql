-- Writes only what differs, so that a synchronisation of unchanged instances writes nothing.
WITH listed AS (
    SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        AS t (guid, backup_guid, broker_resource_id, state, deployment_name, plan_guid, service_guid, organization_guid,
              space_guid, tenant_id, data_service, store, agent_url, deleted_at)
),
-- what stood there before, for the caller to see who was deleted just now
before AS (
    SELECT i.guid, i.deleted_at FROM service_instances i JOIN listed USING (guid)
),
-- An INSERT that ends in an update locks every row it meets, so the unchanged ones are left out before. Rows are met
-- in the order of their numbers, like everywhere else.
changed AS (
    SELECT listed.*, i.id FROM listed LEFT JOIN service_instances i USING (guid)
    WHERE CASE WHEN i.id IS NULL
        -- an instance that was deleted before it was ever seen has no backups to care for
        THEN listed.deleted_at IS NULL
        -- an instance of another broker is none of this one's business
        ELSE i.service_broker_id = $1
            AND (i.broker_resource_id, i.state, i.deployment_name, i.plan_guid, i.service_guid, i.organization_guid,
                 i.space_guid, i.tenant_id, i.data_service, i.store, i.agent_url, i.deleted_at IS NULL)
                IS DISTINCT FROM
                (listed.broker_resource_id, listed.state, listed.deployment_name, listed.plan_guid, listed.service_guid,
                 coalesce(listed.organization_guid, CASE WHEN listed.deleted_at IS NOT NULL THEN i.organization_guid END),
                 coalesce(listed.space_guid, CASE WHEN listed.deleted_at IS NOT NULL THEN i.space_guid END), listed.tenant_id, listed.data_service, listed.store,
                 listed.agent_url, listed.deleted_at IS NULL)
        END
),
written AS (
    INSERT INTO service_instances AS i
        (service_broker_id, guid, backup_guid, broker_resource_id, state, deployment_name, plan_guid, service_guid,
         organization_guid, space_guid, tenant_id, data_service, store, agent_url, deleted_at)
    SELECT $1, guid, backup_guid, broker_resource_id, state, deployment_name, plan_guid, service_guid,
           organization_guid, space_guid, tenant_id, data_service, store, agent_url, deleted_at
    FROM changed ORDER BY id NULLS LAST, guid
    ON CONFLICT (guid) DO UPDATE SET
        broker_resource_id = excluded.broker_resource_id,
        state = excluded.state,
        deployment_name = excluded.deployment_name,
        plan_guid = excluded.plan_guid,
        service_guid = excluded.service_guid,
        -- of a deleted instance brokers may say no more whose it was; its backups stay its owner's
        organization_guid = coalesce(excluded.organization_guid,
                                     CASE WHEN excluded.deleted_at IS NOT NULL THEN i.organization_guid END),
        space_guid = coalesce(excluded.space_guid, CASE WHEN excluded.deleted_at IS NOT NULL THEN i.space_guid END),
        tenant_id = excluded.tenant_id,
        data_service = excluded.data_service,
        store = excluded.store,
        agent_url = excluded.agent_url,
        -- the moment of a deletion is fixed when it is first learnt
        deleted_at = CASE WHEN excluded.deleted_at IS NULL THEN NULL ELSE coalesce(i.deleted_at, excluded.deleted_at) END,
        updated_at = now()
    WHERE i.service_broker_id = $1
    RETURNING id, guid, deleted_at
)
SELECT written.id, written.guid, written.deleted_at, before.deleted_at AS was_deleted_at
FROM written LEFT JOIN before USING (guid)
