//! The database goes away and comes back.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::app::{App, error, json};

#[tokio::test]
async fn without_its_database_the_api_answers_503_in_time_and_recovers_by_itself() {
    let app = App::start().await;
    app.instance("g-1");
    json(app.get("/instances/g-1").await, 200).await;
    let name = app.database.name().to_owned();
    let elsewhere = backup_testkit::Database::empty().unwrap();
    elsewhere.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).unwrap();
    app.database.cut_connections().unwrap();
    let began = Instant::now();
    for path in ["/instances/g-1", "/instances", "/v2/queues", "/v2/healthy", "/readyz"] {
        let said = error(app.get(path).await, 503, "ServiceUnavailable").await;
        assert!(!said.contains("FATAL") && !said.contains(&name), "{said}");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    json(app.anonymous(Method::GET, "/livez").send().await.unwrap(), 200).await;
    elsewhere.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).unwrap();
    let recovered = async {
        while app.get("/instances/g-1").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), recovered).await.unwrap();
}

#[tokio::test]
async fn a_failover_that_cuts_every_connection_is_survived() {
    let app = App::start().await;
    app.instance("g-1");
    for _ in 0..5 {
        json(app.get("/instances/g-1").await, 200).await;
        app.database.cut_connections().unwrap();
    }
    json(app.get("/instances/g-1").await, 200).await;
}
