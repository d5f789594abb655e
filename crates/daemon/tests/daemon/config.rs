//! The configuration loader: file, environment, secrets in files, and what it says about mistakes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use backup_daemon::config::{ConfigError, load, load_text};
use backup_daemon::duration::HumaneDuration;
use backup_daemon::logging::LogSettings;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    database: Database,
    #[serde(default = "every")]
    interval: HumaneDuration,
    listen: Option<SocketAddr>,
    #[serde(default)]
    brokers: Vec<Broker>,
    #[serde(default)]
    stores: BTreeMap<String, Store>,
    #[serde(default)]
    log: LogSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: SecretString,
    #[serde(default)]
    pool_size: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Broker {
    name: String,
    password: SecretString,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Store {
    Local { directory: String },
}

/// Environment variables with their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

fn every() -> HumaneDuration {
    HumaneDuration::from_secs(10)
}

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load_text("test.yml", text, "APP", environment)
}

const GOOD: &str = "
database: {url: 'postgres://u:hunter2@h/db', pool_size: 7}
listen: 127.0.0.1:3000
brokers:
  - {name: one, password: hunter2}
stores:
  local-A: {kind: local, directory: /backups}
";

#[test]
fn a_good_file_is_read_with_defaults_for_what_it_leaves_out() {
    let settings = read(GOOD, &[]).unwrap();
    assert_eq!(settings.database.pool_size, 7);
    assert_eq!(settings.interval, HumaneDuration::from_secs(10));
    let Store::Local { directory } = &settings.stores["local-A"];
    assert_eq!(directory, "/backups");
    assert_eq!(settings.brokers[0].name, "one");
    assert_eq!(settings.log, LogSettings::default());
}

#[test]
fn the_environment_overrides_scalars_lists_and_elements_of_lists() {
    let settings = read(
        GOOD,
        &[
            ("APP__DATABASE__POOL_SIZE", "9"),
            ("APP__LISTEN", "null"),
            ("APP__BROKERS__0__PASSWORD", "12345"),
            ("APP__STORES__LOCAL_A__DIRECTORY", "/elsewhere"),
            ("APP__INTERVAL", "3m"),
            ("OTHER__THING", "x"),
            ("APP_LOG", "debug"),
        ],
    )
    .unwrap();
    assert_eq!(settings.database.pool_size, 9);
    assert!(settings.listen.is_none());
    assert_eq!(settings.brokers[0].password.expose_secret(), "12345");
    let Store::Local { directory } = &settings.stores["local-A"];
    assert_eq!(directory, "/elsewhere");
    assert_eq!(settings.interval, HumaneDuration::from_secs(180));
    let brokers = "[{name: a, password: '1'}, {\"name\": \"b\", \"password\": \"2\"}]";
    let settings = read(GOOD, &[("APP__BROKERS", brokers)]).unwrap();
    assert_eq!(settings.brokers[1].name, "b");
}

#[test]
fn a_secret_may_stand_in_a_file_and_the_environment_wins_over_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("url");
    std::fs::write(&secret, "postgres://from-a-file\n").unwrap();
    let file = directory.path().join("app.yml");
    std::fs::write(&file, format!("database: {{url_file: {}}}\n", secret.display())).unwrap();
    let settings: Settings = load(&file, "APP_OF_THIS_TEST").unwrap();
    assert_eq!(settings.database.url.expose_secret(), "postgres://from-a-file");

    let text = std::fs::read_to_string(&file).unwrap();
    let settings = read(&text, &[("APP__DATABASE__URL", "plain")]).unwrap();
    assert_eq!(settings.database.url.expose_secret(), "plain");
    let settings = read(GOOD, &[("APP__DATABASE__URL_FILE", secret.to_str().unwrap())]).unwrap();
    assert_eq!(settings.database.url.expose_secret(), "postgres://from-a-file");
}

#[test]
fn every_mistake_is_named_by_its_path_with_what_was_found_and_what_is_allowed() {
    let cases: &[(&str, Variables, &str)] = &[
        ("databse: 1\ndatabase: {url: x}", &[], "databse: found an unknown key; allowed: one of `database`,"),
        (
            "database: {url: x, pool: 1}",
            &[],
            "database.pool: found an unknown key; allowed: `url` or `pool_size`",
        ),
        ("database: {}", &[], "database.url: found nothing; allowed: a value; the key is required"),
        ("{}", &[], "database: found nothing"),
        ("", &[], "database: found nothing"),
        (
            "database: {url: x, pool_size: -1}",
            &[],
            "database.pool_size: found -1; allowed: a whole number from 0",
        ),
        (
            "database: {url: x, pool_size: many}",
            &[],
            "database.pool_size: found \"many\"; allowed: a whole number",
        ),
        ("database: {url: x}\ninterval: 10", &[], "interval: found 10; allowed: a duration with its unit"),
        (
            "database: {url: x}\ninterval: soon",
            &[],
            "interval: found \"soon\"; allowed: a duration with its unit",
        ),
        ("database: {url: x}\nlisten: here", &[], "listen: found \"here\" (invalid socket address syntax)"),
        (
            "database: {url: x}\nlog: {level: 'a=b=c'}",
            &[],
            "log.level: found \"a=b=c\"; allowed: error, warn, info",
        ),
        (
            "database: {url: x}\nlog: {format: xml}",
            &[],
            "log.format: found \"xml\"; allowed: `text` or `json`",
        ),
        ("database: {url: x}\nbrokers: [{name: a}]", &[], "brokers[0].password: found nothing"),
        ("database: {url: x}\nbrokers: {name: a}", &[], "brokers: found keys with values; allowed: a list"),
        ("database: {url: x}\nstores: {a: {kind: tape}}", &[], "stores.a"),
        (
            "database: {url: x}\nstores: {a: {kind: local, directory: d, dir: e}}",
            &[],
            "stores.a.dir: found an unknown",
        ),
        (
            "database: {url: x}",
            &[("APP__DATABASE__PORT", "1")],
            "database.port: found an unknown key (from APP__DATABASE__PORT)",
        ),
        (
            "database: {url: x}",
            &[("APP__DATABASE__POOL_SIZE", "x")],
            "database.pool_size: found \"x\" (from APP__DATABASE__POOL_SIZE)",
        ),
        ("database: {url_file: /nowhere}", &[], "database.url_file: found /nowhere (No such file"),
        (
            "database: {url: x, url_file: /nowhere}",
            &[],
            "database.url_file: found also url; allowed: one of the two",
        ),
        ("database: [", &[], "cannot be read"),
        ("- database", &[], "cannot be read"),
    ];
    for (text, environment, expected) in cases {
        let said = read(text, environment).unwrap_err().to_string();
        assert!(said.contains(expected), "{text:?} said {said:?} without {expected:?}");
    }
}

#[test]
fn several_mistakes_are_reported_together() {
    let error = read("databse: 1\ndatabase: {url: x, pool_size: -1}\ninterval: soon", &[]).unwrap_err();
    assert_eq!(error.mistakes().len(), 3, "{error}");
}

#[test]
fn an_error_never_shows_a_secret() {
    let cases: &[(&str, Variables)] = &[
        ("database: 'postgres://u:hunter2@h'", &[]),
        ("database: {url: [hunter2]}", &[]),
        ("database: {url: {hunter2: 1}, pool_size: 'postgres://u:hunter2@h'}", &[]),
        ("database: {url: x}\nbrokers: [{name: a, password: [hunter2]}]", &[]),
        ("database: {url: x}", &[("APP__DATABASE", "password=hunter2")]),
        ("database: {url: x}", &[("APP__DATABASE__PASSWORD", "hunter2")]),
        ("database: {url: x}\nlisten: 'postgres://u:hunter2@h'", &[]),
    ];
    for (text, environment) in cases {
        let said = format!("{:?} {0}", read(text, environment).unwrap_err());
        assert!(!said.contains("hunter2"), "{text:?} said {said:?}");
    }
}

#[test]
fn an_absent_file_is_said_with_its_name() {
    let error = load::<Settings>("/nowhere/app.yml".as_ref(), "APP").unwrap_err();
    assert!(error.to_string().contains("/nowhere/app.yml cannot be read: No such file"), "{error}");
}
