-- The product's tables. What must never happen is refused here, so that no bug in a daemon can do it:
-- illegal status moves, two running operations of one instance, the deletion of what is held or in use, removal of a row
-- whose objects may still exist.

CREATE TABLE service_brokers (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text NOT NULL UNIQUE,
    last_synchronised_at timestamptz,
    last_error           text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE service_instances (
    id                          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    guid                        text NOT NULL UNIQUE CHECK (guid <> ''),
    backup_guid                 text NOT NULL UNIQUE,
    service_broker_id           bigint NOT NULL REFERENCES service_brokers,
    broker_resource_id          bigint,
    state                       text NOT NULL,
    deployment_name             text,
    plan_guid                   text,
    service_guid                text,
    organization_guid           text,
    space_guid                  text,
    tenant_id                   text,
    data_service                text NOT NULL,
    store                       text NOT NULL,
    agent_url                   text,
    min_backup_count            integer CHECK (min_backup_count >= 0),
    retention_days              integer CHECK (retention_days >= 0),
    min_encryption_key_length   integer CHECK (min_encryption_key_length >= 1),
    exclude_from_auto_backup    boolean NOT NULL DEFAULT false,
    backup_type                 text CHECK (backup_type IN ('postgresql_wal')),
    credentials_updated_by_user boolean NOT NULL DEFAULT false,
    -- the end of the newest name a backup ever had: names are never given twice, whatever is removed and whatever the clock does
    last_name_millis            bigint NOT NULL DEFAULT 0,
    last_done_at                timestamptz,
    last_skip_at                timestamptz,
    last_skip_reason            text,
    deleted_at                  timestamptz,
    created_at                  timestamptz NOT NULL DEFAULT now(),
    updated_at                  timestamptz NOT NULL DEFAULT now()
-- A fan-out updates every row in turn: with room for a second version of all rows of a page, no index is written for it.
) WITH (fillfactor = 45);
CREATE INDEX service_instances_of_broker ON service_instances (service_broker_id, id);
-- what an owner of spaces or organizations may see
CREATE INDEX service_instances_of_space ON service_instances (space_guid, id);
CREATE INDEX service_instances_of_organization ON service_instances (organization_guid, id);
-- what may be forgotten, the longest gone first
CREATE INDEX service_instances_deleted ON service_instances (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE encryption_keys (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_instance_id bigint NOT NULL REFERENCES service_instances,
    ciphertext          bytea NOT NULL,
    -- which of the operator's keys encrypted the column
    master_key_id       text NOT NULL,
    -- set by the owner, not generated
    is_own              boolean NOT NULL,
    is_current          boolean NOT NULL DEFAULT true,
    created_at          timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX encryption_keys_one_current ON encryption_keys (service_instance_id) WHERE is_current;
-- also what a backup's key is looked for by: it is one of its own instance's
CREATE UNIQUE INDEX encryption_keys_of_instance ON encryption_keys (service_instance_id, id);
-- those that go when no backup was made with them any more
CREATE INDEX encryption_keys_former ON encryption_keys (id) WHERE NOT is_current;

CREATE TABLE backups (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- an instance that exists: the reference to its key below says so, and a second check would only slow down a fan-out
    service_instance_id   bigint NOT NULL,
    backup_id             text NOT NULL,
    status                text NOT NULL DEFAULT 'queued'
                          CHECK (status IN ('queued', 'running', 'done', 'failed', 'deleted')),
    is_scheduled          boolean NOT NULL,
    encryption_key_id     bigint NOT NULL,
    store                 text NOT NULL,
    object_prefix         text NOT NULL,
    size                  bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    checksum              text,
    filter_plugins        jsonb NOT NULL DEFAULT '[]',
    bytes_processed       bigint NOT NULL DEFAULT 0,
    total_bytes_estimate  bigint,
    reason_code           text,
    msg                   text,
    dispatch_epoch        bigint NOT NULL DEFAULT 0,
    -- a dispatch may have reached the agent: set before the call, taken back only when no connection stood
    may_be_at_agent       boolean NOT NULL DEFAULT false,
    -- the moment after which the agent is no longer waited for; set by the first dispatch
    deadline_at           timestamptz,
    cancel_requested_at   timestamptz,
    -- the partial objects of a failed backup are still to be removed
    has_remains           boolean NOT NULL DEFAULT false,
    idempotency_key       text,
    -- the fan-out that asked for it: a fan-out that is run again after a crash backs nobody up twice
    fan_out_job_id        bigint,
    marked_deleted_at     timestamptz,
    -- why the removal was begun; from then on it cannot be taken back
    removal_reason        text,
    removal_error         text,
    -- set in the transaction that removes the row, after the store confirmed that the objects are gone
    objects_gone_at       timestamptz,
    -- it was found complete in its store, made under a database that was lost; such a row starts as done
    adopted_at            timestamptz,
    triggered_at          timestamptz NOT NULL DEFAULT now(),
    started_at            timestamptz,
    finished_at           timestamptz,
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (status <> 'done' OR (size > 0 AND checksum IS NOT NULL)),
    CHECK (status <> 'failed' OR reason_code IS NOT NULL),
    CHECK (status <> 'deleted' OR marked_deleted_at IS NOT NULL),
    -- By the instance, so that the removal of a key looks at the backups of one instance, and at no one else's.
    FOREIGN KEY (service_instance_id, encryption_key_id) REFERENCES encryption_keys (service_instance_id, id)
);
-- No two of one name. From behind, where the time is: the names that a fan-out gives lie together, so that it writes few
-- pages of this index, and not one for each instance. Look for reverse(backup_id).
CREATE UNIQUE INDEX backups_name ON backups (reverse(backup_id));
CREATE INDEX backups_of_instance ON backups (service_instance_id, id DESC);
CREATE INDEX backups_unfinished ON backups (service_instance_id, id) WHERE status IN ('queued', 'running');
-- the search for what retention may let go, oldest first
CREATE INDEX backups_finished ON backups (service_instance_id, triggered_at) WHERE status IN ('done', 'failed');
CREATE INDEX backups_to_clean ON backups (service_instance_id) WHERE status = 'deleted' OR has_remains;
-- the fan-out first: its rows lie together, so that the fan-out writes few pages
CREATE UNIQUE INDEX backups_one_per_fan_out ON backups (fan_out_job_id, service_instance_id) WHERE fan_out_job_id IS NOT NULL;
CREATE UNIQUE INDEX backups_idempotency ON backups (service_instance_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What rehearsals say of a backup.
CREATE TABLE verifications (
    backup_row_id    bigint PRIMARY KEY REFERENCES backups ON DELETE CASCADE,
    -- of the newest rehearsal that came to a verdict
    verdict          text NOT NULL CHECK (verdict IN ('passed', 'failed')),
    -- of the newest that passed, and how long the restore took in it
    last_verified_at timestamptz,
    restore_ms       bigint
);
-- those that somebody has to look at, for the metrics
CREATE INDEX verifications_failed ON verifications (backup_row_id) WHERE verdict = 'failed';

-- Somebody's word that a backup stays; there are few. One whose time is over holds nothing.
CREATE TABLE holds (
    backup_row_id bigint PRIMARY KEY REFERENCES backups ON DELETE CASCADE,
    reason        text NOT NULL CHECK (reason <> ''),
    held_by       text NOT NULL,
    -- owners neither change nor release it
    is_operators  boolean NOT NULL,
    held_at       timestamptz NOT NULL DEFAULT now(),
    held_until    timestamptz
);

CREATE TABLE restores (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- the instance the backup is loaded into
    service_instance_id   bigint NOT NULL REFERENCES service_instances,
    -- no foreign key: the history of restores outlives the backup
    backup_row_id         bigint NOT NULL,
    backup_id             text NOT NULL,
    restored_from         timestamptz NOT NULL,
    restore_id            text NOT NULL UNIQUE,
    status                text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    bytes_processed       bigint NOT NULL DEFAULT 0,
    total_bytes_estimate  bigint,
    reason_code           text,
    msg                   text,
    dispatch_epoch        bigint NOT NULL DEFAULT 0,
    may_be_at_agent       boolean NOT NULL DEFAULT false,
    deadline_at           timestamptz,
    cancel_requested_at   timestamptz,
    triggered_at          timestamptz NOT NULL DEFAULT now(),
    started_at            timestamptz,
    finished_at           timestamptz,
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (status <> 'failed' OR reason_code IS NOT NULL)
);
CREATE INDEX restores_of_instance ON restores (service_instance_id, id DESC);
CREATE INDEX restores_finished ON restores (finished_at) WHERE status IN ('done', 'failed');
CREATE INDEX restores_unfinished ON restores (backup_row_id) WHERE status IN ('queued', 'running');
-- While a restore of an instance is queued or running, a second one is refused.
CREATE UNIQUE INDEX restores_one_unfinished ON restores (service_instance_id) WHERE status IN ('queued', 'running');

-- A backup is restored into a scratch data service beside the instance, looked at, and thrown away again.
CREATE TABLE rehearsals (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- the instance whose agent does it: the backup's own
    service_instance_id   bigint NOT NULL REFERENCES service_instances,
    -- no foreign key: the history of rehearsals outlives the backup
    backup_row_id         bigint NOT NULL,
    rehearsal_id          text NOT NULL UNIQUE,
    is_scheduled          boolean NOT NULL,
    status                text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    bytes_processed       bigint NOT NULL DEFAULT 0,
    total_bytes_estimate  bigint,
    reason_code           text,
    msg                   text,
    -- what the agent measured and looked at
    duration_ms           bigint,
    restore_ms            bigint,
    checks                jsonb NOT NULL DEFAULT '[]',
    dispatch_epoch        bigint NOT NULL DEFAULT 0,
    may_be_at_agent       boolean NOT NULL DEFAULT false,
    deadline_at           timestamptz,
    cancel_requested_at   timestamptz,
    triggered_at          timestamptz NOT NULL DEFAULT now(),
    started_at            timestamptz,
    finished_at           timestamptz,
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (status <> 'failed' OR reason_code IS NOT NULL)
);
CREATE INDEX rehearsals_of_instance ON rehearsals (service_instance_id, id DESC);
CREATE INDEX rehearsals_finished ON rehearsals (finished_at) WHERE status IN ('done', 'failed');
-- what waits or runs of an instance, without its history
CREATE INDEX rehearsals_unfinished ON rehearsals (service_instance_id) WHERE status IN ('queued', 'running');
CREATE UNIQUE INDEX rehearsals_one_unfinished ON rehearsals (backup_row_id) WHERE status IN ('queued', 'running');
-- Backups and restores of the instance may run beside it, a second rehearsal not.
CREATE UNIQUE INDEX rehearsals_one_running ON rehearsals (service_instance_id) WHERE status = 'running';

-- The moments a base backup can be restored to, as its agent last said; a backup without a row has none.
CREATE TABLE pitr_windows (
    backup_row_id bigint PRIMARY KEY REFERENCES backups ON DELETE CASCADE,
    start_at      timestamptz NOT NULL,
    end_at        timestamptz NOT NULL CHECK (end_at >= start_at),
    -- the last piece of the log that is needed for end_at
    last_segment  text NOT NULL,
    state         text NOT NULL CHECK (state IN ('open', 'continued', 'broken')),
    reason        text,
    updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX pitr_windows_open ON pitr_windows (backup_row_id) WHERE state = 'open';
CREATE INDEX service_instances_with_log ON service_instances (id) WHERE backup_type IS NOT NULL AND deleted_at IS NULL;

-- The moment a restore is to reach; a restore without a row loads its backup as it is.
CREATE TABLE recovery_targets (
    restore_row_id bigint PRIMARY KEY REFERENCES restores ON DELETE CASCADE,
    moment         timestamptz NOT NULL,
    last_segment   text NOT NULL
);

-- One instance does one thing at a time: the primary key is the rule, across backups and restores.
CREATE TABLE running_operations (
    service_instance_id bigint PRIMARY KEY REFERENCES service_instances,
    kind                text NOT NULL CHECK (kind IN ('backup', 'restore')),
    row_id              bigint NOT NULL,
    since               timestamptz NOT NULL DEFAULT now()
);

-- Who stands in line for a place under the limits of running backups: one line per owner at a broker and per store. Only used
-- where there are limits. Counted by a trigger, so that whoever looks for the next one reads a handful of rows.
CREATE TABLE place_lines (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_broker_id bigint NOT NULL REFERENCES service_brokers,
    store             text NOT NULL,
    owner             text NOT NULL,
    waiting_on_demand integer NOT NULL DEFAULT 0 CHECK (waiting_on_demand >= 0),
    waiting_scheduled integer NOT NULL DEFAULT 0 CHECK (waiting_scheduled >= 0),
    held              integer NOT NULL DEFAULT 0 CHECK (held >= 0),
    -- when one of it got a place last, or the line was made
    served_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (service_broker_id, store, owner)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.0, autovacuum_analyze_threshold = 1000);
CREATE INDEX place_lines_on_demand ON place_lines (service_broker_id, store, held, served_at, id) WHERE waiting_on_demand > 0;
CREATE INDEX place_lines_scheduled ON place_lines (service_broker_id, store, held, served_at, id) WHERE waiting_scheduled > 0;
CREATE INDEX place_lines_held ON place_lines (service_broker_id, store, held) WHERE held > 0;

-- A backup that waits for a place, or holds one; it goes when the backup is over.
CREATE TABLE places (
    backup_row_id bigint PRIMARY KEY REFERENCES backups ON DELETE CASCADE,
    line_id       bigint NOT NULL REFERENCES place_lines,
    is_scheduled  boolean NOT NULL,
    asked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- none: it waits
    held_since    timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.0, autovacuum_analyze_threshold = 1000);
CREATE INDEX places_waiting ON places (line_id, is_scheduled, asked_at, backup_row_id) WHERE held_since IS NULL;
CREATE INDEX places_of_line ON places (line_id);

-- One row: whoever gives places holds it, so that two never give the last one twice.
CREATE TABLE place_turns (
    id                 boolean PRIMARY KEY DEFAULT true CHECK (id),
    on_demand_in_a_row integer NOT NULL DEFAULT 0
);
INSERT INTO place_turns DEFAULT VALUES;

-- A search for backups in the stores that have no row here. It goes on behind its position after an interruption.
CREATE TABLE catalogue_rebuilds (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- none: all that are configured
    store           text,
    is_dry_run      boolean NOT NULL,
    status          text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    requested_by    text NOT NULL,
    requested_at    timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    -- the store that is being looked through, and the last folder of an instance that was
    position_store  text,
    position_folder text,
    folders_total   bigint NOT NULL DEFAULT 0,
    folders_done    bigint NOT NULL DEFAULT 0,
    -- backups that had a row already
    known           bigint NOT NULL DEFAULT 0,
    msg             text
);

CREATE TABLE catalogue_findings (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rebuild_id            bigint NOT NULL REFERENCES catalogue_rebuilds ON DELETE CASCADE,
    outcome               text NOT NULL,
    store                 text NOT NULL,
    path                  text NOT NULL,
    backup_id             text NOT NULL,
    service_instance_guid text,
    detail                text,
    UNIQUE (rebuild_id, store, path)
);
CREATE INDEX catalogue_findings_of_rebuild ON catalogue_findings (rebuild_id, id);

-- A comparison of the database with the stores and the agents' journals. It goes on behind its position after an
-- interruption.
CREATE TABLE reconciliations (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- the scheduled job that made it; none when somebody asked for it
    job_id          bigint UNIQUE,
    requested_by    text NOT NULL,
    is_repair       boolean NOT NULL,
    is_deep         boolean NOT NULL,
    -- none: all
    instance_guid   text,
    status          text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    phase           text NOT NULL DEFAULT 'instances' CHECK (phase IN ('instances', 'folders', 'bytes')),
    position        text NOT NULL DEFAULT '',
    instances_total bigint NOT NULL DEFAULT 0,
    instances_done  bigint NOT NULL DEFAULT 0,
    -- differences by kind, those beyond the ones that are kept included
    counts          jsonb NOT NULL DEFAULT '{}',
    not_compared    bigint NOT NULL DEFAULT 0,
    notes           bigint NOT NULL DEFAULT 0,
    msg             text,
    requested_at    timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz
);
-- the last complete one of everything, for the metrics
CREATE INDEX reconciliations_complete ON reconciliations (id) WHERE status = 'done' AND instance_guid IS NULL;

CREATE TABLE reconciliation_findings (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reconciliation_id bigint NOT NULL REFERENCES reconciliations ON DELETE CASCADE,
    class             text NOT NULL CHECK (class IN ('difference', 'not_compared', 'note')),
    kind              text NOT NULL,
    subject           text NOT NULL,
    instance_guid     text,
    details           text NOT NULL,
    repair            text,
    proposal          text,
    -- what became of the repair, when one was asked for
    outcome           text,
    UNIQUE (reconciliation_id, kind, subject)
);
CREATE INDEX reconciliation_findings_in_order ON reconciliation_findings (reconciliation_id, id);

CREATE TABLE audit_events (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                    timestamptz NOT NULL DEFAULT now(),
    actor                 text NOT NULL,
    action                text NOT NULL,
    service_instance_guid text,
    subject               text,
    address               text,
    request_id            text
-- Added at one end and, long after, removed at the other: vacuum shall not wait until a fifth of all history is dead.
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
-- One per filter, each in the order in which events are shown. The planner would rather follow the time alone through
-- all history than use a filter's index; so the index by time is written in a way that only a list without filter uses.
CREATE INDEX audit_events_by_time ON audit_events ((at AT TIME ZONE 'UTC'), id);
CREATE INDEX audit_events_of_instance ON audit_events (service_instance_guid, at, id);
CREATE INDEX audit_events_of_actor ON audit_events (actor, at, id);
CREATE INDEX audit_events_of_action ON audit_events (action, at, id);
CREATE INDEX audit_events_of_action_and_actor ON audit_events ((action || '/' || actor), at, id);

-- Status moves -------------------------------------------------------------------------------------------------

CREATE FUNCTION check_status_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    move text := OLD.status || '>' || NEW.status;
BEGIN
    IF OLD.status = NEW.status THEN
        RETURN NEW;
    END IF;
    IF move NOT IN ('queued>running', 'queued>failed', 'running>done', 'running>failed')
       AND NOT (TG_TABLE_NAME = 'backups' AND move IN ('done>deleted', 'failed>deleted', 'deleted>done')) THEN
        RAISE EXCEPTION 'a % may not move from % to %', rtrim(TG_TABLE_NAME, 's'), OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'status_move';
    END IF;
    IF move IN ('queued>running') THEN
        NEW.started_at := coalesce(NEW.started_at, now());
    END IF;
    -- finished_at is the time of the last status change
    IF NEW.status NOT IN ('queued', 'running') THEN
        NEW.finished_at := now();
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END $$;

CREATE FUNCTION track_running_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'running' AND OLD.status <> 'running' THEN
        INSERT INTO running_operations (service_instance_id, kind, row_id)
        VALUES (NEW.service_instance_id, rtrim(TG_TABLE_NAME, 's'), NEW.id);
    ELSIF OLD.status = 'running' AND NEW.status <> 'running' THEN
        DELETE FROM running_operations
        WHERE service_instance_id = NEW.service_instance_id AND kind = rtrim(TG_TABLE_NAME, 's') AND row_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION check_first_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'backups' THEN
        -- One that was found in its store has all its moves behind it.
        IF NEW.adopted_at IS NOT NULL AND NEW.status = 'done' THEN
            RETURN NEW;
        END IF;
    END IF;
    IF NEW.status <> 'queued' THEN
        RAISE EXCEPTION 'a % starts as queued, not as %', rtrim(TG_TABLE_NAME, 's'), NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'status_move';
    END IF;
    RETURN NEW;
END $$;

-- Agents answer for a name for ever: one that is given twice would be told of the first. Once per statement, since a fan-out
-- inserts hundreds of rows. However many they were when a session planned this, the next may be one: instances are looked
-- up one by one, never joined as a whole.
CREATE FUNCTION remember_backup_names() RETURNS trigger LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE service_instances AS i SET last_name_millis = named.millis
    FROM (SELECT service_instance_id, max(CASE
              WHEN backup_id LIKE '%-%' AND length(ending) BETWEEN 1 AND 15 AND translate(ending, '0123456789', '') = '' THEN ending::bigint
          END) AS millis
          -- a regular expression would take longer than all the rest
          FROM (SELECT service_instance_id, backup_id, right(backup_id, strpos(reverse(backup_id), '-') - 1) AS ending FROM added) AS ended
          GROUP BY service_instance_id) AS named
    WHERE i.id = named.service_instance_id AND i.last_name_millis < named.millis;
    RETURN NULL;
END $$;

CREATE FUNCTION check_backup_not_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM restores WHERE backup_row_id = OLD.id AND status IN ('queued', 'running')) THEN
        RAISE EXCEPTION 'backup % is used by a restore', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'backup_in_use';
    END IF;
    IF EXISTS (SELECT FROM rehearsals WHERE backup_row_id = OLD.id AND status IN ('queued', 'running')) THEN
        RAISE EXCEPTION 'backup % is used by a rehearsal', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'backup_in_use';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION check_backup_not_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM holds WHERE backup_row_id = OLD.id AND (held_until IS NULL OR held_until > now())) THEN
        RAISE EXCEPTION 'backup % is held', OLD.id USING ERRCODE = 'check_violation', CONSTRAINT = 'backup_held';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;

-- Locks the backup, so that a deletion and a hold cannot pass each other.
CREATE FUNCTION check_backup_holdable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM backups WHERE id = NEW.backup_row_id AND status IN ('done', 'deleted') AND reason_code IS NULL
        AND removal_reason IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'backup % cannot be held', NEW.backup_row_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'backup_holdable';
    END IF;
    RETURN NEW;
END $$;

-- Locks the backup, so that a deletion and the request of a restore or a rehearsal cannot pass each other.
CREATE FUNCTION check_backup_restorable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM backups WHERE id = NEW.backup_row_id AND status = 'done' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'backup % is not done', NEW.backup_row_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'backup_restorable';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION check_backup_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'deleted' OR OLD.objects_gone_at IS NULL THEN
        RAISE EXCEPTION 'backup % may not be removed: it is %, and its objects are not confirmed as gone', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'backup_removal';
    END IF;
    RETURN OLD;
END $$;

-- A place is given back when its backup is over, or when it turns out that no agent has heard of it.
CREATE FUNCTION give_place_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM places WHERE backup_row_id = NEW.id;
    RETURN NULL;
END $$;

CREATE FUNCTION count_places() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE place_lines
        SET waiting_on_demand = waiting_on_demand - (OLD.held_since IS NULL AND NOT OLD.is_scheduled)::integer,
            waiting_scheduled = waiting_scheduled - (OLD.held_since IS NULL AND OLD.is_scheduled)::integer,
            held = held - (OLD.held_since IS NOT NULL)::integer
        WHERE id = OLD.line_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE place_lines
        SET waiting_on_demand = waiting_on_demand + (NEW.held_since IS NULL AND NOT NEW.is_scheduled)::integer,
            waiting_scheduled = waiting_scheduled + (NEW.held_since IS NULL AND NEW.is_scheduled)::integer,
            held = held + (NEW.held_since IS NOT NULL)::integer,
            served_at = CASE WHEN NEW.held_since IS NULL THEN served_at ELSE clock_timestamp() END
        WHERE id = NEW.line_id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% can be added, not changed', TG_TABLE_NAME USING ERRCODE = 'check_violation', CONSTRAINT = 'append_only';
END $$;

-- Old events may go, by the clock alone: whoever wants to hide something has to wait as long as everybody looks.
CREATE FUNCTION check_event_is_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.at > now() - interval '30 days' THEN
        RAISE EXCEPTION '% of the last 30 days can be added, not removed', TG_TABLE_NAME
            USING ERRCODE = 'check_violation', CONSTRAINT = 'append_only';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER backups_1_first_status BEFORE INSERT ON backups FOR EACH ROW WHEN (NEW.status <> 'queued')
    EXECUTE FUNCTION check_first_status();
CREATE TRIGGER backups_1_name AFTER INSERT ON backups REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    EXECUTE FUNCTION remember_backup_names();
CREATE TRIGGER backups_2_status_move BEFORE UPDATE OF status ON backups FOR EACH ROW EXECUTE FUNCTION check_status_move();
CREATE TRIGGER backups_3_not_in_use BEFORE UPDATE OF status ON backups FOR EACH ROW
    WHEN (NEW.status = 'deleted' AND OLD.status <> 'deleted') EXECUTE FUNCTION check_backup_not_in_use();
CREATE TRIGGER backups_3_not_held BEFORE UPDATE OF status, removal_reason, objects_gone_at ON backups FOR EACH ROW
    WHEN ((NEW.status = 'deleted' AND OLD.status <> 'deleted') OR (NEW.removal_reason IS NOT NULL AND OLD.removal_reason IS NULL)
          OR (NEW.objects_gone_at IS NOT NULL AND OLD.objects_gone_at IS NULL))
    EXECUTE FUNCTION check_backup_not_held();
CREATE TRIGGER backups_4_running AFTER UPDATE OF status ON backups FOR EACH ROW EXECUTE FUNCTION track_running_operation();
CREATE TRIGGER backups_5_removal BEFORE DELETE ON backups FOR EACH ROW EXECUTE FUNCTION check_backup_removal();
CREATE TRIGGER backups_6_removal_not_held BEFORE DELETE ON backups FOR EACH ROW EXECUTE FUNCTION check_backup_not_held();
CREATE TRIGGER backups_7_place AFTER UPDATE OF status, may_be_at_agent ON backups FOR EACH ROW
    WHEN ((NEW.status NOT IN ('queued', 'running') AND OLD.status IN ('queued', 'running'))
          OR (NEW.status = 'queued' AND OLD.may_be_at_agent AND NOT NEW.may_be_at_agent))
    EXECUTE FUNCTION give_place_back();
CREATE TRIGGER places_counted AFTER INSERT OR UPDATE OR DELETE ON places FOR EACH ROW EXECUTE FUNCTION count_places();
CREATE TRIGGER holds_1_holdable BEFORE INSERT OR UPDATE ON holds FOR EACH ROW EXECUTE FUNCTION check_backup_holdable();
CREATE TRIGGER restores_1_first_status BEFORE INSERT ON restores FOR EACH ROW EXECUTE FUNCTION check_first_status();
CREATE TRIGGER restores_3_restorable BEFORE INSERT ON restores FOR EACH ROW EXECUTE FUNCTION check_backup_restorable();
CREATE TRIGGER restores_2_status_move BEFORE UPDATE OF status ON restores FOR EACH ROW EXECUTE FUNCTION check_status_move();
CREATE TRIGGER restores_4_running AFTER UPDATE OF status ON restores FOR EACH ROW EXECUTE FUNCTION track_running_operation();
CREATE TRIGGER rehearsals_1_first_status BEFORE INSERT ON rehearsals FOR EACH ROW EXECUTE FUNCTION check_first_status();
CREATE TRIGGER rehearsals_2_status_move BEFORE UPDATE OF status ON rehearsals FOR EACH ROW EXECUTE FUNCTION check_status_move();
CREATE TRIGGER rehearsals_3_restorable BEFORE INSERT ON rehearsals FOR EACH ROW EXECUTE FUNCTION check_backup_restorable();
CREATE TRIGGER audit_events_append_only BEFORE UPDATE ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_events_kept BEFORE DELETE ON audit_events FOR EACH ROW EXECUTE FUNCTION check_event_is_old();
CREATE TRIGGER audit_events_not_emptied BEFORE TRUNCATE ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
