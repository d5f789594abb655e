//! The fake agent keeps the promises of a real one, and the suite notices when it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use backup_conformance::{Credential, Report, Target, Verdict};
use backup_testkit::{AgentFault, FakeAgent, Plan};

async fn check(agent: &FakeAgent) -> Report {
    let (user, password) = agent.credential();
    let target = Target {
        url: agent.url(),
        credential: Credential::Basic { user, password: password.into() },
        authority: None,
        store: "main".into(),
        object_prefix: "conformance".into(),
        slow_rate: 1000,
        allow_restores: true,
        restart: None,
    };
    backup_conformance::run(target, |_| {}).await.unwrap()
}

fn fake(store: &std::path::Path) -> FakeAgent {
    let agent = FakeAgent::start(store).unwrap();
    agent.knows_store("main");
    // Long enough to be looked at, and to be overtaken by a deadline of two seconds.
    agent.plan(Plan::done().after(45));
    agent
}

#[tokio::test]
async fn the_fake_agent_keeps_every_promise_but_those_about_kills() {
    let store = tempfile::tempdir().unwrap();
    let report = check(&fake(store.path())).await;
    let others: Vec<_> =
        report.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Passed).collect();
    let is_about_kills = |verdict: &Verdict| matches!(verdict, Verdict::Skipped(_));
    assert!(others.iter().all(|outcome| is_about_kills(&outcome.verdict)), "{others:#?}");
    assert_eq!(others.len(), 2, "{others:#?}");
}

#[tokio::test]
async fn the_suite_notices_an_agent_that_breaks_its_promises() {
    let store = tempfile::tempdir().unwrap();
    let agent = fake(store.path());
    // Says `done` with a checksum missing, forgets, and answers with states nobody knows.
    agent.plan(Plan::done_without_checksum());
    agent.fail_cancel(AgentFault::UnknownState);
    agent.fail_cancel(AgentFault::WrongId);
    let report = check(&agent).await;
    assert!(!report.is_conformant());
    let broken = |name: &str| {
        let outcome = report.outcomes.iter().find(|outcome| outcome.name.contains(name)).unwrap();
        matches!(outcome.verdict, Verdict::Failed(_))
    };
    assert!(broken("tells its parts"), "{report:#?}");
    assert!(broken("fields it does not know"), "the first stop answers with an unknown state: {report:#?}");
}
