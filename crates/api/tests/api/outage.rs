//! The database freezes: requests are shed, not piled up, nothing is done twice, and nobody has to restart anything.

use std::time::{Duration, Instant};

use backup_core::Policy;
use backup_core::store::{Database, lost};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};

use crate::app::{App, error, http, json, manager_at};
use crate::proxy::Proxy;

const REQUESTS: usize = 500;

/// Two connections, so that of 500 requests some wait and some are turned away at once.
async fn app() -> (App, Proxy) {
    let database = backup_testkit::Database::create().unwrap();
    let store = tempfile::tempdir().unwrap();
    let proxy = Proxy::to(&database.url()).await;
    let manager = manager_at(&proxy.url(&database.url()), 2, store.path(), Policy::default());
    let app = App::over(database, store, manager, http()).await;
    app.instance("g-1");
    (app, proxy)
}

async fn request_backup(app: &App, key: usize) -> StatusCode {
    let request = app.request(Method::POST, "/instances/g-1/backups");
    let answer = request.header("Idempotency-Key", format!("key-{key}")).send().await.unwrap();
    let status = answer.status();
    if status == 503 {
        assert!(answer.headers().contains_key("retry-after"));
        error(answer, 503, "ServiceUnavailable").await;
    }
    status
}

fn count(app: &App, sql: &str) -> usize {
    app.database.value(sql).unwrap().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_frozen_requests_are_shed_and_a_retry_is_safe() {
    let (app, proxy) = app().await;
    assert_eq!(request_backup(&app, 0).await, 201);
    proxy.freeze();
    let began = Instant::now();
    let statuses = join_all((1..=REQUESTS).map(|key| request_backup(&app, key))).await;
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    // Twice the two seconds of the pool would be a queue; a busy machine gets some more.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    json(app.anonymous(Method::GET, "/livez").send().await.unwrap(), 200).await;
    proxy.open();
    let retried = &app;
    let again = join_all((0..=REQUESTS).map(|key| async move {
        loop {
            match request_backup(retried, key).await.as_u16() {
                503 => tokio::task::yield_now().await,
                status => break status,
            }
        }
    }));
    let again = tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
    assert_eq!(again[0], 200, "the one from before");
    assert!(again[1..].iter().all(|status| *status == 201), "what was answered 503 was not begun: {again:?}");
    assert_eq!(count(&app, "SELECT count(*) FROM backups"), REQUESTS + 1);
    assert_eq!(count(&app, "SELECT count(*) FROM jobs WHERE queue = 'backup_agent_backups'"), REQUESTS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_is_named_by_the_health_checks_and_does_not_hold_them_up() {
    let (app, proxy) = app().await;
    let app = &app;
    let get = |path: &'static str| app.anonymous(Method::GET, path).send();
    assert_eq!(get("/readyz").await.unwrap().status(), 200);
    proxy.freeze();
    let crowd = (0..50).map(|key| request_backup(app, key));
    let checks = (0..50).map(|index| async move {
        let path = if index % 2 == 0 { "/readyz" } else { "/v2/healthy" };
        let began = Instant::now();
        let said = error(app_get(app, path).await, 503, "Unhealthy").await;
        assert_eq!(said, "The database does not answer.");
        began.elapsed()
    });
    let (slowest, _) = tokio::join!(join_all(checks), join_all(crowd));
    assert!(slowest.iter().max().unwrap() < &Duration::from_secs(10), "{slowest:?}");
    proxy.open();
    let recovered = async {
        while get("/readyz").await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), recovered).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_do_not_wait_for_other_requests_work() {
    use diesel::connection::SimpleConnection;
    let (app, _proxy) = app().await;
    let mut other = app.database.connection().unwrap();
    other.batch_execute("BEGIN; SELECT FROM service_instances FOR UPDATE").unwrap();
    let checks = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while count(&app, waiting) < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        json(app_get(&app, "/readyz").await, 200).await;
        error(app_get(&app, "/v2/healthy").await, 503, "Unhealthy").await;
        assert_eq!(count(&app, waiting), 2, "both connections are at work");
        other.batch_execute("COMMIT").unwrap();
    };
    tokio::join!(checks, join_all((0..10).map(|key| request_backup(&app, key))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_in_the_middle_of_many_requests_leaves_whole_backups_and_a_retry_completes_them() {
    let (app, proxy) = app().await;
    let under_way = join_all((0..100).map(|key| request_backup(&app, key)));
    let cut = async {
        while count(&app, "SELECT count(*) FROM backups") < 5 {
            tokio::task::yield_now().await;
        }
        proxy.cut();
    };
    let (statuses, ()) = tokio::join!(under_way, cut);
    let done = statuses.iter().filter(|status| **status == 201).count();
    assert!(statuses.iter().all(|status| *status == 201 || *status == 503), "{statuses:?}");
    let rows = count(&app, "SELECT count(*) FROM backups");
    assert!(rows >= done && rows <= done + 2, "at most those whose answer was lost are more: {rows}, {done}");
    assert_eq!(rows, count(&app, "SELECT count(*) FROM jobs WHERE queue = 'backup_agent_backups'"));
    proxy.open();
    for key in 0..100 {
        while request_backup(&app, key).await == 503 {}
    }
    assert_eq!(count(&app, "SELECT count(*) FROM backups"), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_hang_are_noticed_once_new_ones_are_served() {
    let (app, proxy) = app().await;
    json(app.get("/instances/g-1").await, 200).await;
    let database = Database::new(&proxy.url(&app.database.url()), 1, Duration::from_secs(1));
    let mut losing = Box::pin(lost(&database, Duration::from_millis(400)));
    let mut is_lost =
        async |within| tokio::time::timeout(Duration::from_secs(within), &mut losing).await.is_ok();
    assert!(!is_lost(2).await, "the database answers");
    proxy.freeze();
    assert!(!is_lost(6).await, "nobody is answered, so another process would not be, either");
    proxy.open();
    assert!(!is_lost(2).await, "the database answers again");
    proxy.hang();
    assert!(is_lost(60).await);
    let database = Database::new(&proxy.url(&app.database.url()), 1, Duration::from_secs(1));
    let ask = || database.transaction(|_| Ok(()));
    ask().await.unwrap();
    proxy.hang();
    assert!(ask().await.is_err());
    // The connection for checks is made only now, to the one that answers.
    let soon = Duration::from_secs(60);
    tokio::time::timeout(soon, lost(&database, Duration::from_millis(400))).await.unwrap();
}

async fn app_get(app: &App, path: &str) -> reqwest::Response {
    app.anonymous(Method::GET, path).send().await.unwrap()
}
