//! A whole installation comes up healthy, survives a kill, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use local_installation::{AgentPlan, BrokerPlan, Daemon, Installation, Plan};
use private_postgres::Server;
use private_postgres::process::free_port;

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

#[test]
fn several_apis_and_several_processes_per_group_are_one_installation() {
    let server = Server::start().unwrap();
    server.create_database("manager").unwrap();
    let (files, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let plan = Plan::new(server.url("manager"))
        .agent(AgentPlan::files("agent-1", files.path()).without_tls().at(address))
        .broker(BrokerPlan::static_inventory("files", "files").instance_at("guid-1", "http://127.0.0.1:9"))
        .setting("jobs.poll_interval", "200ms")
        .worker_groups(&[(None, 1)])
        .store_directory(store.path())
        .processes_per_group(2)
        .apis(2);
    let mut installation = Installation::prepare(&plan).unwrap();
    installation.start().unwrap();
    let names: Vec<&str> = installation.daemons().map(Daemon::name).collect();
    assert_eq!(names, ["api", "api-2", "worker-1", "worker-1-2", "agent-1"]);
    assert_eq!(installation.agents()[0].address(), address);
    assert_eq!(installation.store_directory(), store.path());
    let urls = installation.http_urls();
    assert_eq!((urls.len(), &urls[0]), (2, &installation.http_url()));
    installation.api.kill().unwrap();
    let other = urls[1].strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(other).unwrap();
    write!(stream, "GET /v2/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
