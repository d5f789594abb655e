//! What is refused, each with the key's path, what was found and what is allowed.

use crate::{LEAST, read};

/// Lines that are put over the least file, and what is said about them.
const CASES: &[(&str, &str)] = &[
    ("full_backup_repeat: often", "full_backup_repeat: found \"often\"; allowed: cron with five fields"),
    (
        "full_backup_repeat: '0 30 1 * * *'",
        "full_backup_repeat: found \"0 30 1 * * *\"; allowed: cron with five",
    ),
    ("delete_backup_repeat: '61 1 * * *'", "delete_backup_repeat: found"),
    ("update_instance_state_repeat: '@daily'", "update_instance_state_repeat: found"),
    ("time_zone: Mars/Olympus", "time_zone: found \"Mars/Olympus\"; allowed: an IANA time zone"),
    ("verify_backup_repeat: weekly", "verify_backup_repeat: found \"weekly\""),
    ("verify_backup_budget: 0", "verify_backup_budget: found 0; allowed: 1 to 1000 rehearsals"),
    ("full_backup_spread: -1", "full_backup_spread: found -1; allowed: 0 to 1440 minutes"),
    ("min_backups_per_instance: 10001", "min_backups_per_instance: found 10001; allowed: 0 to 10000"),
    ("min_backup_age: week", "min_backup_age: found \"week\"; allowed: a whole number"),
    ("min_backup_age: -1", "min_backup_age: found -1; allowed: 0 to 36500 days"),
    (
        "retention_time_for_backups_of_a_deleted_instance: -1",
        "retention_time_for_backups_of_a_deleted_instance: found -1",
    ),
    ("undo_window: 400days", "undo_window: found 1year 1month"),
    ("history: {audit_events: 30days}", "history.audit_events: found 30days; allowed: 31days to"),
    ("history: {restores: 0}", "history.restores: found 0s; allowed: 2days to"),
    ("history: {backups: 7days}", "history.backups: found an unknown key"),
    (
        "workers: [{queues: backup_al_job}]",
        "workers[0].queues: found the queue \"backup_al_job\"; allowed: backup_all_job, backup_agent_backups, backup_watcher_job, restore_watcher_job, initialize_backup_deletion_job, backup_deleter_job, update_instance_state_job",
    ),
    (
        "workers: [{}, {queues: 'backup_all_job,,'}]",
        "workers[1].queues: found an empty entry in \"backup_all_job,,\"; allowed: backup_all_job",
    ),
    ("workers: [{queues: ''}]", "workers[0].queues: found an empty entry"),
    ("workers: [{count: 0}]", "workers[0].count: found 0; allowed: 1 to 1000"),
    ("workers: [{cuont: 1}]", "workers[0].cuont: found an unknown key; allowed: `queues` or `count`"),
    (
        "jobs: {backup_agent: {max_attempts: 0}}",
        "jobs.backup_agent.max_attempts: found 0; allowed: 1 to 1000",
    ),
    (
        "jobs: {backup_agent: {timeout: 24}}",
        "jobs.backup_agent.timeout: found 24; allowed: a duration with its unit",
    ),
    ("jobs: {backup_agent: {timeout: 31days}}", "jobs.backup_agent.timeout: found"),
    ("jobs: {watcher: {interval: 0s}}", "jobs.watcher.interval: found 0s; allowed: 50ms to 1h"),
    ("jobs: {watcher: {intervall: 1s}}", "jobs.watcher.intervall: found an unknown key; allowed: `interval`"),
    ("limits: {running_backups: 0}", "limits.running_backups: found 0; allowed: 1 to"),
    (
        "limits: {running_backups_per_broker: -1}",
        "limits.running_backups_per_broker: found -1; allowed: 1 to 1000000 or null for no limit",
    ),
    ("limits: {running_backups_per_store: 0}", "limits.running_backups_per_store: found 0; allowed: 1 to"),
    (
        "limits: {brokers: {nobody: 3}}",
        "limits.brokers.nobody: found \"nobody\"; allowed: a name from service_brokers: ",
    ),
    (
        "limits: {stores: {nowhere: 3}}",
        "limits.stores.nowhere: found \"nowhere\"; allowed: a name from stores: ",
    ),
    ("limits: {kept_for_others: 51}", "limits.kept_for_others: found 51; allowed: 0 to 50 percent"),
    ("backup_manager_encryption_keys: []", "backup_manager_encryption_keys: found an empty list"),
    (
        "backup_manager_encryption_keys: [{id: a, key: short}]",
        "backup_manager_encryption_keys[0].key: found a shorter text",
    ),
    (
        "backup_manager_encryption_keys: [{id: a, key: 0123456789abcdef}, {id: a, key: 0123456789abcdeF}]",
        "backup_manager_encryption_keys[1].id: found \"a\" a second time",
    ),
    (
        "custom_encryption_key_min_length: 0",
        "custom_encryption_key_min_length: found 0; allowed: 1 to 1000 characters",
    ),
    ("allow_backup_download: maybe", "allow_backup_download: found \"maybe\"; allowed: true or false"),
    (
        "listen: {http: localhost, https: null}",
        "listen.http: found \"localhost\"; allowed: an IP address with a port",
    ),
    (
        "listen: {http: null, https: null}",
        "listen: found http and https both null; allowed: at least one address",
    ),
    (
        "listen: {}",
        "listen.certificate_path: found nothing, while HTTPS is on; allowed: both listen.certificate_path and listen.key_path",
    ),
    ("auth: {users: []}", "auth.users: found nothing; allowed: at least one user"),
    (
        "auth: {users: [{name: 'a:b', password_hash: x, role: operator}]}",
        "auth.users[0].name: found \"a:b\"; allowed: a name without colons",
    ),
    (
        "auth: {users: [{name: a, password_hash: hunter2, role: operator}]}",
        "auth.users[0].password_hash: found another text; allowed: an Argon2id hash",
    ),
    (
        "auth: {users: [{name: a, password_hash: x, role: king}]}",
        "auth.users[0].role: found \"king\"; allowed: one of `operator`, `auditor`, `owner`",
    ),
    (
        "auth: {users: [{name: 'a~b', password_hash: x, role: operator}]}",
        "auth.users[0].name: found \"a~b\"; allowed: a name without colons and tildes",
    ),
    (
        "auth: {users: [{name: worker, password_hash: x, role: operator}]}",
        "auth.users[0].name: found \"worker\"; allowed: another name",
    ),
    (
        "auth: {users: [{name: 'oidc:ann', password_hash: x, role: operator}]}",
        "auth.users[0].name: found \"oidc:ann\"; allowed: a name without colons",
    ),
    (
        "auth: {users: [{name: a, password_hash: x, role: owner, instances: []}]}",
        "auth.users[0]: found an owner of nothing; allowed: an owner has at least one of instances",
    ),
    (
        "auth: {users: [{name: a, password_hash: x, role: auditor, spaces: [s]}]}",
        "auth.users[0].spaces: found a list for another role; allowed: only with role: owner",
    ),
    (
        "auth: {users: [{name: a, password_hash: x, role: owner, organizations: [o, 'o p']}]}",
        "auth.users[0].organizations[1]: found \"o p\"; allowed: a GUID",
    ),
    (
        "auth: {users: [], oidc: {issuer: 'http://issuer.example', audience: a}}",
        "auth.oidc.issuer: found another text; allowed: an https URL",
    ),
    (
        "auth: {users: [], oidc: {issuer: 'https://i', audience: a, jwks_url: 'ftp://i/keys'}}",
        "auth.oidc.jwks_url: found another text; allowed: an https URL",
    ),
    ("auth: {users: [], oidc: {issuer: 'https://i'}}", "auth.oidc.audience: found nothing; allowed: a value"),
    ("auth: {users: [], oidc: {issuer: 'https://i', audience: ''}}", "auth.oidc.audience: found nothing"),
    (
        "auth: {users: [], oidc: {issuer: 'https://i', audience: a, space_claim: ''}}",
        "auth.oidc.space_claim: found nothing; allowed: the name of a claim",
    ),
    (
        "listen: {https: null, trusted_proxies: [10.0.0.1, 10.0.0.0/33]}",
        "listen.trusted_proxies[1]: found \"10.0.0.0/33\"; allowed: an address or a network",
    ),
    (
        "listen: {https: null, client_ca_path: /ca.pem}",
        "listen.client_ca_path: found a path, while HTTPS is off; allowed: null, or an address",
    ),
    (
        "listen: {https: null, client_certificates: always}",
        "listen.client_certificates: found \"always\"; allowed: `required` or `optional`",
    ),
    (
        "listen: {https: null, max_connections: 0}",
        "listen.max_connections: found 0; allowed: 1 to 1000000 connections",
    ),
    ("listen: {https: null, keep_alive: 0s}", "listen.keep_alive: found 0s; allowed: 50ms to 1h"),
    ("listen: {https: null, write_timeout: 0s}", "listen.write_timeout: found 0s; allowed: 1s to 1day"),
    ("listen: {https: null, drain: 1h}", "listen.drain: found 1h; allowed: 0s to 5m"),
    ("database: {}", "database.url: found nothing; allowed: a value; the key is required"),
    (
        "database: {url: 'postgress://u:hunter2@h/d'}",
        "database.url: found a URL of another scheme (not shown)",
    ),
    ("database: {url: 'mysql://u:hunter2@h/d'}", "database.url: found a URL of another scheme (not shown)"),
    (
        "database: {url: hunter2}",
        "database.url: found a text with a word without = (not shown); allowed: postgres://",
    ),
    ("database: {url: 'host=h pasword=hunter2'}", "database.url: found a text with an unknown keyword"),
    (
        "database: {url: 'postgres://u:hunter2%zz@h/d'}",
        "database.url: found a URL whose user or password is not",
    ),
    ("database: {url: x, pool_size: 0}", "database.pool_size: found 0; allowed: 1 to 1000 connections"),
    ("service_brokers: []", "service_brokers: found an empty list; allowed: at least one"),
    ("stores: {}", "stores: found no store; allowed: at least one"),
    ("stores: {main: {kind: tape}}", "stores.main"),
    ("retention: 7", "retention: found an unknown key; allowed: one of `full_backup_repeat`"),
];

/// Changes to the one broker of the least file.
const BROKERS: &[(&str, &str, &str)] = &[
    (
        "store: main",
        "store: other",
        "service_brokers[0].store: found \"other\"; allowed: a name from stores: main",
    ),
    ("static_inventory: /i.yml", "nothing: 1", "service_brokers[0].nothing: found an unknown key"),
    (
        "static_inventory: /i.yml, ",
        "",
        "service_brokers[0]: found neither url nor static_inventory; allowed: one of the two",
    ),
    (
        "static_inventory: /i.yml",
        "static_inventory: /i.yml, url: 'http://b'",
        "service_brokers[0]: found url and static_inventory",
    ),
    (
        "static_inventory: /i.yml",
        "url: 'http://b', user: u",
        "service_brokers[0].password: found nothing; allowed: password or password_file",
    ),
    (
        "static_inventory: /i.yml",
        "url: 'http://u:hunter2@b', user: u, password: p",
        "service_brokers[0].url: found another URL",
    ),
    (
        "static_inventory: /i.yml",
        "url: nowhere, user: u, password: p",
        "service_brokers[0].url: found a text",
    ),
    ("{token: t0ken}", "{}", "service_brokers[0].agent: found no complete credential"),
    ("{token: t0ken}", "{token: t0ken, user: u}", "service_brokers[0].agent: found token together with user"),
    (
        "{token: t0ken}",
        "{token: t0ken, server_name: x}",
        "service_brokers[0].agent.server_name: found it without ca_path",
    ),
    (
        "store: main",
        "store: main, backup_agent_url: 'https://{deployment}.x'",
        "service_brokers[0].backup_agent_url: found",
    ),
    (
        "store: main",
        "store: main, backup_agent_url: 'https://one.for.all'",
        "service_brokers[0].backup_agent_url: found",
    ),
];

#[test]
fn every_mistake_is_named_with_its_path_and_with_what_is_allowed() {
    for (lines, expected) in CASES {
        let key = lines.split(':').next().unwrap();
        let kept: Vec<&str> = LEAST.lines().filter(|line| !line.starts_with(&format!("{key}:"))).collect();
        // A replaced list leaves its items behind.
        let kept = kept.join("\n");
        let kept = match *key == *"service_brokers" {
            true => kept.lines().filter(|line| !line.starts_with("  -")).collect::<Vec<_>>().join("\n"),
            false => kept,
        };
        let said = read(&format!("{kept}\n{lines}\n")).unwrap_err().to_string();
        assert!(said.contains(expected), "{lines:?} said {said:?} without {expected:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn every_mistake_of_a_broker_is_named_with_its_index() {
    for (good, bad, expected) in BROKERS {
        let said = read(&LEAST.replace(good, bad)).unwrap_err().to_string();
        assert!(said.contains(expected), "{bad:?} said {said:?} without {expected:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn two_brokers_of_one_name_are_refused() {
    let broker = LEAST.lines().find(|line| line.starts_with("  -")).unwrap();
    let said = read(&LEAST.replace(broker, &format!("{broker}\n{broker}"))).unwrap_err().to_string();
    assert!(said.contains("service_brokers[1].name: found \"b\" a second time"), "{said}");
}

#[test]
fn many_mistakes_are_said_at_once() {
    let error =
        read(&format!("{LEAST}min_backup_age: -1\ntime_zone: x\nworkers: [{{count: 0}}]\n")).unwrap_err();
    assert_eq!(error.mistakes().len(), 3, "{error}");
}
