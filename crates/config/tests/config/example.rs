//! The example file is documentation; this keeps it true.

use std::path::Path;

use crate::{LEAST, read};

const PLACE_HOLDER: &str = "replace-this-by-the-output-of-openssl-rand-base64-32";

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/backup-manager.example.yml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_example_file_is_accepted_and_shows_the_defaults() {
    let own_key = example().replace(PLACE_HOLDER, "0123456789abcdef");
    let example = read(&own_key).unwrap();
    let least = read(LEAST).unwrap();
    assert_eq!(format!("{:?}", example.policy()), format!("{:?}", least.policy()));
    assert_eq!(format!("{:?}", example.schedules()), format!("{:?}", least.schedules()));
    assert_eq!(example.worker_groups(), least.worker_groups());
    assert_eq!(format!("{:?}", example.jobs), format!("{:?}", least.jobs));
    assert_eq!(example.log, least.log);
    assert_eq!(example.database.pool_size, least.database.pool_size);
    assert_eq!(example.database.connect_timeout, least.database.connect_timeout);
    assert_eq!(example.listen.http, least.listen.http);
    let limits = |listen: &backup_config::ListenSettings| {
        let times = [
            listen.request_header_timeout,
            listen.keep_alive,
            listen.write_timeout,
            listen.drain,
            listen.shutdown_timeout,
        ];
        (times, listen.max_connections, listen.client_ca_path.clone(), listen.client_certificates)
    };
    assert_eq!(limits(&example.listen), limits(&least.listen));
}

#[test]
fn the_example_file_is_refused_until_its_key_is_replaced() {
    let error = read(&example()).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("backup_manager_encryption_keys[0].key: found the place-holder of the example file"),
        "{said}"
    );
    assert_eq!(error.mistakes().len(), 1, "{said}");
}

#[test]
fn the_example_file_names_every_key_of_the_settings() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let example = example();
    let mut seen = 0;
    for file in ["settings", "auth", "brokers", "database", "history", "jobs", "listen", "oidc", "workers"] {
        let code = std::fs::read_to_string(source.join(format!("{file}.rs"))).unwrap();
        let checked_form = code.find("/// A checked worker group.").unwrap_or(code.len());
        for line in code[..checked_form].lines() {
            let Some((key, _)) = line.trim().strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
            else {
                continue;
            };
            if key.starts_with("fn ") {
                continue;
            }
            assert!(example.contains(&format!("{key}:")), "{key} is missing in the example file");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} keys were looked at");
}
