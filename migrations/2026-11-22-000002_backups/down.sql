DROP TABLE reconciliation_findings, reconciliations, catalogue_findings, catalogue_rebuilds, audit_events, running_operations, restores, backups, encryption_keys, service_instances, service_brokers;
DROP FUNCTION check_status_move, track_running_operation, check_first_status, check_backup_not_in_use, check_backup_restorable, check_backup_removal, refuse_change;
