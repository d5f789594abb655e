//! How Postgres carries out the statements of a request with the whole history there: the plan that serves any
//! parameters, which is what a prepared statement ends up with.

use std::fmt::Write;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::stage::{DATABASE, Stage};
use super::statements::Statement;

/// The plan of one statement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    pub(super) request: &'static str,
    /// Enough of it to know it again.
    pub(super) statement: String,
    pub(super) cost: f64,
    /// `Index Scan (service_instances_guid_key)` and the like.
    pub(super) reads: Vec<String>,
}

/// The plans of everything that reads or writes rows.
pub(super) fn of(stage: &Stage, request: &'static str, all: &[Statement]) -> anyhow::Result<Vec<Plan>> {
    let is_plain = |one: &&Statement| {
        let verb = one.sql.split(' ').next().unwrap_or_default().to_lowercase();
        matches!(verb.as_str(), "select" | "insert" | "update" | "delete" | "with") && one.sql.contains(' ')
    };
    all.iter().filter(is_plain).map(|one| explain(stage, request, one)).collect()
}

fn explain(stage: &Stage, request: &'static str, statement: &Statement) -> anyhow::Result<Plan> {
    let mut sql = format!(
        "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; PREPARE bench AS {};\n\
         EXPLAIN (FORMAT JSON) EXECUTE bench",
        statement.sql
    );
    let literal = |value: &Option<String>| {
        value.as_ref().map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
    };
    let values: Vec<String> = statement.parameters.iter().map(literal).collect();
    if !values.is_empty() {
        write!(sql, "({})", values.join(", "))?;
    }
    sql.push_str("; ROLLBACK;");
    let text = stage.server.psql(DATABASE, &sql).with_context(|| format!("no plan of {}", statement.sql))?;
    let explained: Value = serde_json::from_str(&text)?;
    let root = explained.pointer("/0/Plan").context("EXPLAIN tells no plan")?;
    let mut reads = Vec::new();
    collect(root, &mut reads);
    let cost = root.get("Total Cost").and_then(Value::as_f64).unwrap_or_default();
    Ok(Plan { request, statement: shorten(&statement.sql), cost, reads })
}

/// Every node that touches a table.
fn collect(node: &Value, found: &mut Vec<String>) {
    let text = |key: &str| node.get(key).and_then(Value::as_str);
    let kind = text("Node Type").unwrap_or_default();
    match (text("Index Name"), text("Relation Name")) {
        (Some(index), _) => found.push(format!("{kind} ({index})")),
        (None, Some(table)) if kind.contains("Scan") => found.push(format!("{kind} ({table})")),
        _ => {}
    }
    for child in node.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        collect(child, found);
    }
}

/// The verb and the tables: long lists of columns say nothing here.
fn shorten(sql: &str) -> String {
    let kept = match (sql.starts_with("SELECT"), sql.find(" FROM ")) {
        (true, Some(at)) => format!("SELECT …{}", sql.get(at..).unwrap_or_default()),
        _ => sql.split(" (").next().unwrap_or(sql).to_owned(),
    };
    let plain: String = kept.chars().filter(|c| *c != '"').take(120).collect();
    if plain.len() < kept.replace('"', "").len() { format!("{plain}…") } else { plain }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_plan_reads_is_collected_from_all_its_depths() {
        let plan = json!({"Node Type": "Nested Loop", "Plans": [
            {"Node Type": "Index Scan", "Index Name": "guid_key", "Relation Name": "instances"},
            {"Node Type": "Limit", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "brokers"}]}]});
        let mut found = Vec::new();
        collect(&plan, &mut found);
        assert_eq!(found, ["Index Scan (guid_key)", "Seq Scan (brokers)"]);
    }

    #[test]
    fn a_statement_is_shortened_to_its_tables() {
        assert_eq!(
            shorten("SELECT \"a\".\"b\", \"c\" FROM \"a\" WHERE x = $1"),
            "SELECT … FROM a WHERE x = $1"
        );
        assert_eq!(shorten("INSERT INTO \"a\" (\"b\") VALUES ($1)"), "INSERT INTO a");
    }
}
