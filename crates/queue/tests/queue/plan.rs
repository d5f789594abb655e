//! What the claim costs, asked of Postgres itself: the plan of the very statement the runner sends.

use backup_queue::claim::{prepare, statement};
use diesel::prelude::*;
use diesel::sql_types::{Array, Double, Json, Text};
use serde_json::Value;

use crate::support::*;

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
    plan: Value,
}

/// Every node of a plan, with the rows it really produced.
fn nodes(plan: &Value, found: &mut Vec<(String, String, f64)>) {
    let text = |key: &str| plan[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| plan[key].as_f64().unwrap_or_default();
    let rows =
        (number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck"))
            * number("Actual Loops");
    let relation = format!("{}{}", text("Relation Name"), text("Index Name"));
    found.push((text("Node Type"), relation, rows));
    for child in plan["Plans"].as_array().into_iter().flatten() {
        nodes(child, found);
    }
}

fn explain_claim(
    conn: &mut PgConnection,
    queues: &[&str],
    limit: usize,
) -> (Vec<(String, String, f64)>, f64) {
    let explained: Plan = diesel::sql_query(format!("explain (analyze, format json) {}", statement(limit)))
        .bind::<Text, _>("tester")
        .bind::<Double, _>(60.0)
        .bind::<Array<Text>, _>(queues)
        .get_result(conn)
        .unwrap();
    let mut found = Vec::new();
    nodes(&explained.plan[0]["Plan"], &mut found);
    (found, explained.plan[0]["Execution Time"].as_f64().unwrap())
}

/// Fails unless the claim used its index and no step of it handled more rows than were asked for, and a few.
fn assert_bounded(conn: &mut PgConnection, queues: &[&str], limit: usize) {
    let (nodes, milliseconds) = explain_claim(conn, queues, limit);
    let bound = (queues.len() * (limit + 16)) as f64;
    println!("{} queues, {limit} jobs: {milliseconds} ms", queues.len());
    for (kind, relation, rows) in &nodes {
        assert!(!(kind == "Seq Scan" && relation == "jobs"), "it reads the whole table: {nodes:#?}");
        assert!(*rows <= bound, "{kind} on `{relation}` handled {rows} rows: {nodes:#?}");
    }
    let scanned = nodes.iter().any(|(_, relation, _)| relation.contains("jobs_in_line"));
    assert!(scanned, "it does not use the index of jobs in line: {nodes:#?}");
}

const BACKLOG: &str = "
    insert into jobs (queue, kind, is_due, priority, run_at, max_attempts)
    select (array['letters', 'parcels', 'foreign', 'foreign'])[1 + number % 4], 'letter',
           number % 10 <> 0, number % 7, now() - number * interval '1 s', 10
    from generate_series(1, 100000) as number;
    insert into jobs (queue, kind, run_at, max_attempts, claimed_by, claimed_at, lease_expires_at)
    select 'letters', 'letter', now(), 10, 'w', now(), now() from generate_series(1, 1000);";

#[test]
fn the_claim_reads_a_bounded_number_of_rows_whatever_the_backlog() {
    let database = Database::create();
    let conn = &mut database.connection();
    conn.batch_execute_all(
        "insert into finished_jobs
         select number, 'letters', 'letter', '{}', 100, 'done', null, 1, 10, now(), now(), 'w', now(), now(), null
         from generate_series(1, 1000000) as number;",
    );
    conn.batch_execute_all(BACKLOG);
    conn.batch_execute_all("analyze");
    prepare(conn).unwrap();
    assert_bounded(conn, &["letters"], 1);
    assert_bounded(conn, &["letters", "parcels", "empty"], 10);
    assert_bounded(conn, &["letters", "parcels", "foreign", "a", "b", "c", "d"], 50);
    assert_eq!(conn.number("select count(*) as value from jobs where claimed_by = 'tester'"), 61);
}

#[test]
fn the_claim_is_bounded_with_statistics_of_an_empty_table() {
    let database = Database::create();
    let conn = &mut database.connection();
    conn.batch_execute_all("alter table jobs set (autovacuum_enabled = off); analyze");
    conn.batch_execute_all(BACKLOG);
    prepare(conn).unwrap();
    assert_bounded(conn, &["letters"], 1);
    assert_bounded(conn, &["letters", "parcels", "empty"], 10);
}
