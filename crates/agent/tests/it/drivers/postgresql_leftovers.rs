//! What restores leave behind on a server, and what looks as if they had.

use std::os::unix::fs::{PermissionsExt, symlink};

use backup_protocol::{OperationState, OperationStatus};
use private_postgres::{Options, Server};
use serde_json::json;

use super::postgresql::{databases, record, site};
use crate::harness::{Agent, Site};

const OURS: &str = "SELECT coalesce(string_agg(datname, ',' ORDER BY datname), '') FROM pg_database
    WHERE datname LIKE 'backup_agent%'";

/// A subscription whose publisher is away; its worker tries to connect again and again.
const SUBSCRIPTION: &str = "
CREATE SUBSCRIPTION news CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p WITH (connect = false);
ALTER SUBSCRIPTION news ENABLE;";

fn ours(server: &Server) -> String {
    server.psql("postgres", OURS).unwrap()
}

/// A server with the database `shop` and its backup.
async fn shop(options: Options) -> (Server, Site, Agent, OperationStatus) {
    let server = Server::start_with(options).unwrap();
    server.psql("postgres", "CREATE DATABASE shop").unwrap();
    server.psql("shop", "CREATE TABLE t AS SELECT 42 AS answer").unwrap();
    let site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    server.psql("shop", "CREATE TABLE since_then ()").unwrap();
    (server, site, agent, backup)
}

fn is_restored(server: &Server) -> bool {
    server.psql("shop", "SELECT to_regclass('since_then') IS NULL").unwrap() == "t"
}

fn with_prepared_transactions() -> Options {
    Options::default().setting("max_prepared_transactions", "5")
}

async fn refused(agent: &Agent, id: &str, backup: &OperationStatus) -> String {
    let failed = agent.restore_with(id, backup, json!({})).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.state, error.code.as_str()), (OperationState::Failed, "data_service_error"));
    error.message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_restored_and_in_nobodys_way() {
    let (server, _site, agent, _) = shop(Options::default()).await;
    server.psql("shop", SUBSCRIPTION).unwrap();
    let backup = agent.backup("with-subscription").await;
    server.psql("shop", "CREATE TABLE later ()").unwrap();
    for restore in ["r1", "r2"] {
        agent.restore(restore, &backup).await;
        assert_eq!(ours(&server), "", "the replaced database is dropped");
        let subscriptions = "SELECT d.datname, subname, subenabled, to_regclass('later')
            FROM pg_subscription JOIN pg_database d ON d.oid = subdbid";
        assert_eq!(server.psql("shop", subscriptions).unwrap(), "shop|news|f|");
    }
    agent.backup("after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leftover_that_cannot_be_dropped_keeps_neither_the_others_nor_a_backup() {
    let (server, site, agent, _) = shop(with_prepared_transactions()).await;
    agent.stop().await;
    let names = ["backup_agent_old_0001", "backup_agent_old_0002"];
    for name in names {
        server.create_database(name).unwrap();
    }
    server.psql(names[0], "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'stuck'").unwrap();
    server.psql(names[1], SUBSCRIPTION).unwrap();
    record(&server, json!({"swapped": true}), &names);

    let agent = Agent::start(&site).await;
    assert_eq!(ours(&server), "backup_agent_control,backup_agent_old_0001");
    agent.backup("meanwhile").await;
    server.psql("postgres", "ALTER DATABASE backup_agent_old_0001 ALLOW_CONNECTIONS true").unwrap();
    server.psql(names[0], "ROLLBACK PREPARED 'stuck'").unwrap();
    agent.backup("after").await;
    assert_eq!(ours(&server), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_database_is_left_out_of_backups_and_refuses_a_restore() {
    let (server, _site, agent, _) = shop(Options::default()).await;
    server.create_database("half").unwrap();
    server.psql("postgres", "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'").unwrap();
    let backup = agent.backup("with-invalid").await;
    server.psql("shop", "DROP TABLE since_then; CREATE TABLE later ()").unwrap();
    let message = refused(&agent, "r1", &backup).await;
    assert!(message.contains("database half is invalid"), "{message}");
    assert_eq!((ours(&server).as_str(), databases(&server).as_str()), ("", "half,postgres,shop"));

    server.psql("postgres", "DROP DATABASE half").unwrap();
    agent.restore("r2", &backup).await;
    assert_eq!(server.psql("shop", "SELECT to_regclass('later')").unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_drop_of_a_replaced_database_is_completed() {
    let server = Server::start().unwrap();
    server.create_database("backup_agent_old_0001").unwrap();
    record(&server, json!({"swapped": true}), &["backup_agent_old_0001"]);
    let invalid = "UPDATE pg_database SET datconnlimit = -2 WHERE datname LIKE 'backup_agent_old%'";
    server.psql("postgres", invalid).unwrap();
    let _agent = Agent::start(&site(&server)).await;
    assert_eq!(ours(&server), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_or_in_use_does_not_keep_the_rest_from_being_undone() {
    let mut server = Server::start().unwrap();
    let prepare = r#"CREATE DATABASE shop; CREATE DATABASE "zoo $do$"; CREATE ROLE half; CREATE ROLE unused;
        CREATE TABLE of_half (); ALTER TABLE of_half OWNER TO half; CREATE DATABASE backup_agent_new_0001;"#;
    server.psql("postgres", prepare).unwrap();
    let closed = json!(["gone", "postgres", "shop", "template1", "zoo $do$"]);
    let state = json!({"created_roles": ["gone", "half", "unused"], "closed": closed});
    record(&server, state, &["backup_agent_new_0001"]);
    for name in ["postgres", "shop", "template1", "zoo $do$"] {
        let close = format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false");
        server.psql("backup_agent_control", &close).unwrap();
    }
    server.restart().unwrap();
    let _agent = Agent::start(&site(&server)).await;
    assert_eq!(ours(&server), "");
    for name in ["shop", "template1", "zoo $do$"] {
        server.psql(name, "SELECT 1").unwrap();
    }
    let roles = "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname IN ('half', 'unused')";
    assert_eq!(server.psql("postgres", roles).unwrap(), "half", "a role that owns something stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_others_with_reserved_names_are_left_alone() {
    let (server, site, agent, backup) = shop(Options::default()).await;
    server.create_database("backup_agent_new_0001").unwrap();
    agent.backup("b2").await;
    let message = refused(&agent, "r1", &backup).await;
    assert!(message.contains("backup_agent_new_0001 has a name reserved"), "{message}");
    agent.stop().await;

    // Neither does a record of somebody else count, nor a name that the record does not have.
    server.psql("postgres", "CREATE ROLE stranger").unwrap();
    record(&server, json!({"swapped": true}), &["backup_agent_new_0001"]);
    server.psql("postgres", "ALTER DATABASE backup_agent_control OWNER TO stranger").unwrap();
    let agent = Agent::start(&site).await;
    assert_eq!(ours(&server), "backup_agent_control,backup_agent_new_0001");
    let message = refused(&agent, "r2", &backup).await;
    assert!(message.contains("backup_agent_control has a name reserved"), "{message}");
    agent.stop().await;
    server.psql("postgres", "ALTER DATABASE backup_agent_control OWNER TO postgres").unwrap();
    record(&server, json!({"swapped": true}), &[]);
    let _agent = Agent::start(&site).await;
    assert_eq!(ours(&server), "backup_agent_new_0001");
    assert!(!is_restored(&server));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_just_being_made_is_removed() {
    let server = Server::start().unwrap();
    server.create_database("backup_agent_new_0002").unwrap();
    record(&server, json!({"making": "backup_agent_new_0002"}), &[]);
    let _agent = Agent::start(&site(&server)).await;
    assert_eq!(ours(&server), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_refuses_a_restore_before_anything_is_loaded() {
    let (server, _site, agent, backup) = shop(with_prepared_transactions()).await;
    server.psql("shop", "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'stuck'").unwrap();
    let message = refused(&agent, "r1", &backup).await;
    assert!(message.contains("'stuck' of the database shop must be committed or rolled back"), "{message}");
    assert!(!is_restored(&server));
    assert_eq!(ours(&server), "");
    server.psql("shop", "COMMIT PREPARED 'stuck'").unwrap();
    agent.restore("r2", &backup).await;
    assert!(is_restored(&server));
}

/// A site whose `psql` loses the connection at the COMMIT of the exchange and for some more calls; `filter` sees the SQL
/// of the exchange before the server does.
fn unsteady(server: &Server, filter: &str) -> Site {
    let mut site = site(server);
    let (bin, real) = (site.path("bin"), server.bin_directory());
    std::fs::create_dir(&bin).unwrap();
    for program in ["pg_dump", "pg_dumpall", "pg_restore"] {
        symlink(real.join(program), bin.join(program)).unwrap();
    }
    let script = format!(
        "#!/bin/sh\nsql=$(cat)\nlost() {{ echo 'psql: error: connection to server was lost' >&2; exit 2; }}\n\
         if [ -s \"$0.away\" ]; then sed -i 1d \"$0.away\"; lost; fi\n\
         case \"$sql\" in *COMMIT\\;*)\n\
         printf '%s\\n' \"$sql\" | {filter} | {psql} \"$@\"; seq 8 >\"$0.away\"; lost;; esac\n\
         printf '%s\\n' \"$sql\" | {psql} \"$@\"\n",
        psql = real.join("psql").display(),
    );
    std::fs::write(bin.join("psql"), script).unwrap();
    std::fs::set_permissions(bin.join("psql"), PermissionsExt::from_mode(0o755)).unwrap();
    site.config["driver"]["postgresql"]["bin_directory"] = json!(bin);
    site
}

async fn restore_over_an_unsteady_connection(filter: &str) -> (Server, OperationStatus) {
    let (server, first, agent, backup) = shop(Options::default()).await;
    agent.stop().await;
    let mut site = unsteady(&server, filter);
    site.config["stores"] = first.config["stores"].clone();
    let agent = Agent::start(&site).await;
    let ended = agent.restore_with("r", &backup, json!({})).await;
    assert!(std::fs::read(site.path("bin/psql.away")).unwrap().is_empty(), "the connection was lost");
    (server, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_whose_answer_is_lost_is_never_reported_as_failed() {
    let (server, ended) = restore_over_an_unsteady_connection("cat").await;
    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    assert!(is_restored(&server));
    assert_eq!(ours(&server), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_lost_before_its_commit_is_undone() {
    let (server, ended) = restore_over_an_unsteady_connection("sed '/^COMMIT;$/d'").await;
    assert_eq!(ended.state, OperationState::Failed);
    assert!(ended.error.unwrap().message.contains("connection to server was lost"));
    assert!(!is_restored(&server));
    assert_eq!(ours(&server), "");
}
