DROP TABLE audit_events, running_operations, restores, holds, backups, encryption_keys, service_instances, service_brokers;
DROP FUNCTION check_status_move, track_running_operation, check_first_status, check_backup_not_in_use, check_backup_not_held, check_backup_holdable, check_backup_restorable, check_backup_removal, refuse_change;
