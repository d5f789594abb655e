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
    for path in ["/v2/healthy", "/readyz"] {
        let said = error(app.get(path).await, 503, "Unhealthy").await;
        assert_eq!(said, "The database does not answer.");
    }
    for path in ["/instances/g-1", "/instances", "/v2/queues"] {
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

#[tokio::test]
async fn a_database_that_takes_no_writes_or_has_an_old_schema_is_named_by_the_health_checks() {
    let app = App::start().await;
    let name = app.database.name().to_owned();
    let elsewhere = backup_testkit::Database::empty().unwrap();
    json(app.get("/readyz").await, 200).await;
    let set = |value: &str| {
        let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        elsewhere.execute(&sql).unwrap();
        app.database.cut_connections().unwrap();
    };
    set("on");
    for path in ["/readyz", "/v2/healthy"] {
        assert_eq!(error(app.get(path).await, 503, "Unhealthy").await, "The database is read-only.");
    }
    set("off");
    json(app.get("/readyz").await, 200).await;
    app.database.execute("DELETE FROM __diesel_schema_migrations").unwrap();
    for path in ["/readyz", "/v2/healthy"] {
        let said = error(app.get(path).await, 503, "Unhealthy").await;
        assert_eq!(said, "The database's schema is older than this program.");
    }
}
