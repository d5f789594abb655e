//! What a good file means.

use backup_config::{Role, WorkerGroup};

use crate::{LEAST, file, read};

#[test]
fn the_documented_defaults_apply_to_what_a_file_leaves_out() {
    let settings = read(LEAST).unwrap();
    let policy = settings.policy();
    assert_eq!((policy.min_backup_count, policy.retention_days, policy.deleted_retention_days), (5, 7, 30));
    assert_eq!((policy.min_encryption_key_length, policy.dispatch_attempts), (8, 5));
    assert_eq!(policy.operation_timeout.as_secs(), 24 * 3600);
    assert_eq!(policy.watch_interval.as_secs(), 10);
    assert!(policy.allow_backup_download);
    assert!(!policy.limits.are_any());
    assert_eq!(policy.limits.kept_for_others, 25);
    assert_eq!(settings.listen.http.unwrap().to_string(), "0.0.0.0:3000");
    assert_eq!(settings.full_backup_repeat, "30 1 * * *");
    assert_eq!(settings.delete_backup_repeat, "0 1 * * *");
    assert_eq!(settings.update_instance_state_repeat, "*/5 * * * *");
    assert_eq!(settings.auth.users[0].role, Role::Operator);
}

#[test]
fn limits_are_of_the_fleet_of_each_broker_and_store_and_of_single_ones() {
    let text = format!(
        "{LEAST}limits: {{running_backups: 100, running_backups_per_broker: 10, running_backups_per_store: 20,
         brokers: {{BROKER: 30}}, stores: {{STORE: null}}, kept_for_others: 0}}\n"
    );
    let settings = read(LEAST).unwrap();
    let broker = settings.service_brokers[0].name.clone();
    let store = settings.service_brokers[0].store.clone();
    let limits = read(&text.replace("BROKER", &broker).replace("STORE", &store)).unwrap().policy().limits;
    assert_eq!((limits.fleet, limits.per_broker, limits.per_store), (Some(100), Some(10), Some(20)));
    assert_eq!(limits.brokers[&broker], Some(30));
    assert_eq!(limits.stores[&store], None);
    assert_eq!(limits.kept_for_others, 0);
}

#[test]
fn the_default_is_four_worker_groups_that_serve_every_queue() {
    let settings = read(LEAST).unwrap();
    let groups = settings.worker_groups();
    assert_eq!(groups.len(), 4);
    assert_eq!(groups[1].queues, ["restore_watcher_job"]);
    assert_eq!(groups[3].queues.len(), 7);
    assert!(groups.iter().all(|group| group.count == 1));
    assert!(settings.unserved_queues().is_empty());
}

#[test]
fn names_of_queues_may_have_spaces_around_them_and_are_kept_once() {
    let group =
        WorkerGroup::parse(Some(" backup_deleter_job ,backup_all_job,  backup_deleter_job"), 3).unwrap();
    assert_eq!(group.queues, ["backup_deleter_job", "backup_all_job"]);
    assert_eq!(group.count, 3);
}

#[test]
fn a_queue_that_no_group_serves_is_named_and_does_not_stop_the_start() {
    let settings =
        read(&format!("{LEAST}workers: [{{queues: 'backup_all_job, restore_watcher_job'}}]\n")).unwrap();
    let unserved = settings.unserved_queues();
    assert_eq!(unserved.len(), 5);
    assert!(unserved.contains(&"update_instance_state_job"));
}

#[test]
fn a_worker_needs_neither_users_nor_a_certificate() {
    let text = LEAST.replace("listen: {https: null}", "").replace("auth:", "# auth:");
    let (_directory, path) = file(&text);
    backup_config::load(&path).unwrap();
    let said = backup_config::load_for_api(&path).unwrap_err().to_string();
    for key in ["auth.users", "listen.certificate_path", "listen.key_path"] {
        assert!(said.contains(&format!("{key}: found nothing")), "{said}");
    }
}

#[test]
fn a_checked_file_becomes_the_values_of_the_core() {
    let core = read(LEAST).unwrap().core().unwrap();
    assert_eq!(core.brokers.len(), 1);
    assert_eq!(core.brokers[0].store, "main");
    assert!(core.stores.contains_key("main"));
    assert_eq!(core.key_ring.current_key_id(), "one");
}

#[test]
fn what_only_the_file_system_knows_is_reported_with_its_key() {
    let text = LEAST
        .replace("directory: /tmp", "directory: /nowhere/at/all")
        .replace("token: t0ken", "token: t0ken, ca_path: /nowhere.pem");
    let said = read(&text).unwrap().core().unwrap_err().to_string();
    assert!(said.contains("stores.main: found"), "{said}");
    assert!(said.contains("service_brokers[0].agent.ca_path: found No such file"), "{said}");
}

#[test]
fn owners_an_issuer_and_trusted_proxies_are_read() {
    let users = LEAST.lines().find(|line| line.starts_with("auth:")).unwrap();
    let hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA";
    let auth = format!(
        "auth: {{users: [{{name: o, password_hash: '{hash}', role: owner, spaces: [s-1]}}], \
         oidc: {{issuer: 'https://i.example', audience: backups}}}}"
    );
    let text = LEAST
        .replace(users, &auth)
        .replace("listen: {https: null}", "listen: {https: null, trusted_proxies: [10.0.0.7, 'fd00::/64']}");
    let settings = read(&text).unwrap();
    assert_eq!(settings.auth.users[0].role, Role::Owner);
    assert_eq!(settings.auth.users[0].spaces, ["s-1"]);
    assert_eq!(settings.auth.oidc.unwrap().space_claim, "space_guid");
    let networks: Vec<_> = settings.listen.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.7/32", "fd00::/64"]);
}
