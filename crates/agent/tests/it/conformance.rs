//! The conformance suite against the reference agent, and the documented paths against its routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use backup_conformance::{Credential, Restart, Target, Verdict};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::harness::{Process, Site};

/// The agent, killed and started at the same port.
struct Agent {
    site: Arc<Site>,
    process: Mutex<Option<Process>>,
    port: u16,
}

impl Restart for Agent {
    fn kill_and_start(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async {
            let mut process = self.process.lock().await;
            if let Some(process) = process.take() {
                process.kill();
            }
            *process = Some(Process::start_at(&self.site, self.port).await);
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_agent_keeps_every_promise() {
    let site = Arc::new(Site::files());
    site.write("data", vec![7_u8; 1_000_000]);
    let process = Process::start(&site).await;
    let url = process.client.url().to_owned();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let agent = Agent { site: Arc::clone(&site), process: Mutex::new(Some(process)), port };
    let target = Target {
        url,
        credential: Credential::Basic { user: "manager".into(), password: "agent-password".into() },
        authority: None,
        store: "main".into(),
        object_prefix: "conformance".into(),
        slow_rate: 20_000,
        allow_restores: true,
        restart: Some(Box::new(agent)),
    };
    let report = backup_conformance::run(target, |_| {}).await.unwrap();
    let others: Vec<_> =
        report.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Passed).collect();
    assert!(others.is_empty(), "{others:#?}");
    let content = std::fs::read(site.data().join("data")).unwrap();
    assert_eq!(content, vec![7_u8; 1_000_000], "the restores put back what was there");
}

#[test]
fn every_route_is_documented_and_every_documented_path_is_a_route() {
    let document: Value = serde_json::from_str(include_str!("../../../../docs/agent-openapi.json")).unwrap();
    let documented: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(move |method| format!("{method} {path}"))
        })
        .collect();
    let routes: BTreeSet<String> = include_str!("../../src/routes.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\""))
        .map(|line| {
            let (path, rest) = line.split_once("\", web::").unwrap();
            format!("{} {path}", rest.split('(').next().unwrap())
        })
        .collect();
    assert_eq!(documented, routes);
}
