//! A whole installation comes up healthy, survives a kill, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use local_installation::{BrokerPlan, Installation, Plan};
use private_postgres::Server;

#[test]
fn an_installation_without_agents_is_healthy_and_ends_when_told() {
    let server = Server::start().unwrap();
    server.create_database("manager").unwrap();
    let broker =
        BrokerPlan::static_inventory("nobody", "postgresql").instance_at("guid-1", "http://127.0.0.1:9");
    let plan = Plan::new(server.url("manager")).broker(broker).setting("jobs.poll_interval", "200ms");
    let mut installation = Installation::prepare(&plan).unwrap();
    installation.start().unwrap();
    assert_eq!(installation.workers.len(), 4);

    installation.api.kill().unwrap();
    installation.start_api().unwrap();
    installation.wait_until_healthy().unwrap();

    let patience = Duration::from_secs(10);
    assert!(installation.workers[0].terminate(patience).unwrap().success());
    assert!(installation.api.terminate(patience).unwrap().success());
    let directory = installation.directory().to_owned();
    drop(installation);
    assert!(!directory.exists());
}
