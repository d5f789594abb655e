//! The tables as Diesel sees them; `migrations/` is the truth, and `every_row_type_matches_its_table` compares.

diesel::table! {
    service_brokers (id) {
        id -> Int8,
        name -> Text,
        last_synchronised_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    service_instances (id) {
        id -> Int8,
        guid -> Text,
        backup_guid -> Text,
        service_broker_id -> Int8,
        broker_resource_id -> Nullable<Int8>,
        state -> Text,
        deployment_name -> Nullable<Text>,
        plan_guid -> Nullable<Text>,
        service_guid -> Nullable<Text>,
        organization_guid -> Nullable<Text>,
        space_guid -> Nullable<Text>,
        tenant_id -> Nullable<Text>,
        data_service -> Text,
        store -> Text,
        agent_url -> Nullable<Text>,
        min_backup_count -> Nullable<Int4>,
        retention_days -> Nullable<Int4>,
        min_encryption_key_length -> Nullable<Int4>,
        exclude_from_auto_backup -> Bool,
        backup_type -> Nullable<Text>,
        credentials_updated_by_user -> Bool,
        last_name_millis -> Int8,
        last_done_at -> Nullable<Timestamptz>,
        last_skip_at -> Nullable<Timestamptz>,
        last_skip_reason -> Nullable<Text>,
        deleted_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    encryption_keys (id) {
        id -> Int8,
        service_instance_id -> Int8,
        ciphertext -> Bytea,
        master_key_id -> Text,
        is_own -> Bool,
        is_current -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    backups (id) {
        id -> Int8,
        service_instance_id -> Int8,
        backup_id -> Text,
        status -> Text,
        is_scheduled -> Bool,
        encryption_key_id -> Int8,
        store -> Text,
        object_prefix -> Text,
        size -> Int8,
        checksum -> Nullable<Text>,
        filter_plugins -> Jsonb,
        bytes_processed -> Int8,
        total_bytes_estimate -> Nullable<Int8>,
        reason_code -> Nullable<Text>,
        msg -> Nullable<Text>,
        dispatch_epoch -> Int8,
        may_be_at_agent -> Bool,
        deadline_at -> Nullable<Timestamptz>,
        cancel_requested_at -> Nullable<Timestamptz>,
        has_remains -> Bool,
        idempotency_key -> Nullable<Text>,
        fan_out_job_id -> Nullable<Int8>,
        marked_deleted_at -> Nullable<Timestamptz>,
        removal_reason -> Nullable<Text>,
        removal_error -> Nullable<Text>,
        objects_gone_at -> Nullable<Timestamptz>,
        adopted_at -> Nullable<Timestamptz>,
        triggered_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    holds (backup_row_id) {
        backup_row_id -> Int8,
        reason -> Text,
        held_by -> Text,
        is_operators -> Bool,
        held_at -> Timestamptz,
        held_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    verifications (backup_row_id) {
        backup_row_id -> Int8,
        verdict -> Text,
        last_verified_at -> Nullable<Timestamptz>,
        restore_ms -> Nullable<Int8>,
    }
}

diesel::table! {
    restores (id) {
        id -> Int8,
        service_instance_id -> Int8,
        backup_row_id -> Int8,
        backup_id -> Text,
        restored_from -> Timestamptz,
        restore_id -> Text,
        status -> Text,
        bytes_processed -> Int8,
        total_bytes_estimate -> Nullable<Int8>,
        reason_code -> Nullable<Text>,
        msg -> Nullable<Text>,
        dispatch_epoch -> Int8,
        may_be_at_agent -> Bool,
        deadline_at -> Nullable<Timestamptz>,
        cancel_requested_at -> Nullable<Timestamptz>,
        triggered_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    rehearsals (id) {
        id -> Int8,
        service_instance_id -> Int8,
        backup_row_id -> Int8,
        rehearsal_id -> Text,
        is_scheduled -> Bool,
        status -> Text,
        bytes_processed -> Int8,
        total_bytes_estimate -> Nullable<Int8>,
        reason_code -> Nullable<Text>,
        msg -> Nullable<Text>,
        duration_ms -> Nullable<Int8>,
        restore_ms -> Nullable<Int8>,
        checks -> Jsonb,
        dispatch_epoch -> Int8,
        may_be_at_agent -> Bool,
        deadline_at -> Nullable<Timestamptz>,
        cancel_requested_at -> Nullable<Timestamptz>,
        triggered_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    running_operations (service_instance_id) {
        service_instance_id -> Int8,
        kind -> Text,
        row_id -> Int8,
        since -> Timestamptz,
    }
}

diesel::table! {
    catalogue_rebuilds (id) {
        id -> Int8,
        store -> Nullable<Text>,
        is_dry_run -> Bool,
        status -> Text,
        requested_by -> Text,
        requested_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        position_store -> Nullable<Text>,
        position_folder -> Nullable<Text>,
        folders_total -> Int8,
        folders_done -> Int8,
        known -> Int8,
        msg -> Nullable<Text>,
    }
}

diesel::table! {
    catalogue_findings (id) {
        id -> Int8,
        rebuild_id -> Int8,
        outcome -> Text,
        store -> Text,
        path -> Text,
        backup_id -> Text,
        service_instance_guid -> Nullable<Text>,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    audit_events (id) {
        id -> Int8,
        at -> Timestamptz,
        actor -> Text,
        action -> Text,
        service_instance_guid -> Nullable<Text>,
        subject -> Nullable<Text>,
        address -> Nullable<Text>,
        request_id -> Nullable<Text>,
    }
}

diesel::table! {
    pitr_windows (backup_row_id) {
        backup_row_id -> Int8,
        start_at -> Timestamptz,
        end_at -> Timestamptz,
        last_segment -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    recovery_targets (restore_row_id) {
        restore_row_id -> Int8,
        moment -> Timestamptz,
        last_segment -> Text,
    }
}

diesel::joinable!(service_instances -> service_brokers (service_broker_id));
diesel::joinable!(holds -> backups (backup_row_id));
diesel::joinable!(pitr_windows -> backups (backup_row_id));
diesel::joinable!(recovery_targets -> restores (restore_row_id));
diesel::joinable!(backups -> encryption_keys (encryption_key_id));
diesel::allow_tables_to_appear_in_same_query!(
    service_brokers,
    service_instances,
    encryption_keys,
    backups,
    holds,
    pitr_windows,
    recovery_targets,
    verifications,
    restores,
    rehearsals,
    running_operations,
);
