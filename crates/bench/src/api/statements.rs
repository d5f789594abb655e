//! The SQL a request sends, read from the server's log while one real request is answered, and turned into a script for
//! pgbench. So the floor is always that of the product as it is.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, bail};

use super::requests::{BACKUP_BASE, Fleet, INSTANCE_BASE, KEY_BASE, NEW_BASE, NUMBER_BASE, Request};
use super::stage::{DATABASE, Stage};
use crate::pgbench::Script;

/// One statement with its parameters as Postgres logs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) parameters: Vec<Option<String>>,
}

/// What one request sends, once the connection knows its prepared statements.
pub(super) fn of_one(stage: &Stage, fleet: &Fleet, request: &Request) -> anyhow::Result<Vec<Statement>> {
    let path = fleet.example(request);
    log_statements(stage, "all")?;
    let mut before: Vec<Statement> = Vec::new();
    // The pool's connections hear of the setting, and prepare their statements, one by one.
    for _ in 0..200 {
        let offset = std::fs::metadata(stage.server.log_file())?.len();
        stage.client().ask(request.method, &path)?;
        let statements = parse(&read_from(&stage.server.log_file(), offset)?);
        let texts = |all: &[Statement]| all.iter().map(|one| one.sql.clone()).collect::<Vec<_>>();
        if !statements.is_empty() && texts(&statements) == texts(&before) {
            log_statements(stage, "none")?;
            return Ok(statements);
        }
        before = statements;
    }
    bail!("the server's log does not tell what {} sends", request.title)
}

fn log_statements(stage: &Stage, value: &str) -> anyhow::Result<()> {
    // ALTER SYSTEM refuses to run beside another statement.
    stage.server.psql(DATABASE, &format!("ALTER SYSTEM SET log_statement = '{value}'"))?;
    stage.server.psql(DATABASE, "SELECT pg_reload_conf()").map(drop)
}

fn read_from(file: &Path, offset: u64) -> anyhow::Result<String> {
    let all = std::fs::read(file)?;
    let rest = all.get(usize::try_from(offset)?..).context("the server's log has become shorter")?;
    Ok(String::from_utf8_lossy(rest).into_owned())
}

/// Reads a log: entries begin with a time and go on in lines that begin with a tab.
fn parse(log: &str) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    for entry in log.replace("\n\t", " ").lines() {
        let Some((_, text)) = entry.split_once("] ") else { continue };
        if let Some(sql) = text.strip_prefix("LOG:  statement: ") {
            statements.push(Statement { sql: sql.trim().to_owned(), parameters: Vec::new() });
        } else if let Some(execute) = text.strip_prefix("LOG:  execute ") {
            let sql = execute.split_once(": ").map(|(_, sql)| sql).unwrap_or_default();
            let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
            statements.push(Statement { sql, parameters: Vec::new() });
        } else if let Some((_, list)) =
            text.split_once("DETAIL:  ").and_then(|(_, text)| text.split_once(": "))
            && let Some(last) = statements.last_mut()
        {
            last.parameters = parameters(list);
        }
    }
    statements
}

/// Reads `$1 = 'it''s', $2 = NULL`.
fn parameters(list: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some((_, after)) = rest.split_once(" = ") {
        let Some(mut text) = after.strip_prefix('\'') else {
            found.push(None);
            rest = after;
            continue;
        };
        let mut value = String::new();
        while let Some((piece, after)) = text.split_once('\'') {
            value.push_str(piece);
            text = after;
            let Some(after) = text.strip_prefix('\'') else { break };
            value.push('\'');
            text = after;
        }
        found.push(Some(value));
        rest = text;
    }
    found
}

/// The same statements for random rows.
pub(super) fn script(fleet: &Fleet, statements: &[Statement]) -> Script {
    let (instances, last) = (fleet.instances, fleet.generations().saturating_sub(1));
    let mut script = Script {
        text: format!(
            "\\set n random(1, {instances})\n\\set number {NUMBER_BASE} + :n\n\\set instance {INSTANCE_BASE} + :n\n\
             \\set key {KEY_BASE} + :n\n\\set generation random(0, {last})\n\
             \\set backup {BACKUP_BASE} + :generation * {instances} + :n\n\
             \\set millis random(1000000000000, 9999999999999)\n"
        ),
        constants: Vec::new(),
    };
    for (number, statement) in statements.iter().enumerate() {
        let mut sql = statement.sql.clone();
        // From the last: $1 is the beginning of $10.
        for (index, value) in statement.parameters.iter().enumerate().rev() {
            let replacement = match value.as_deref() {
                None => "NULL".to_owned(),
                Some("") => "''".to_owned(),
                Some(value) => expression(value).unwrap_or_else(|| {
                    let name = format!("c{number}_{index}");
                    script.constants.push((name.clone(), value.to_owned()));
                    format!(":{name}")
                }),
            };
            sql = sql.replace(&format!("${}", index.saturating_add(1)), &replacement);
        }
        // The id of the new backup appears in the statements that follow.
        let end = if sql.starts_with("INSERT INTO \"backups\"") { " \\gset new_" } else { ";" };
        let _ = writeln!(script.text, "{sql}{end}");
    }
    script
}

/// SQL for a value that contains numbers of rows: a variable alone, or a text around variables.
fn expression(value: &str) -> Option<String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = value;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(length.max(first.len_utf8()));
        match variable(piece) {
            Some(name) if piece.len() == value.len() => return Some(format!(":{name}")),
            Some(name) => {
                pieces.push(format!("'{}'", text.replace('\'', "''")));
                pieces.push(format!(":{name}::text"));
                text.clear();
            }
            None => text.push_str(piece),
        }
        rest = after;
    }
    if pieces.is_empty() {
        return None;
    }
    pieces.push(format!("'{}'", text.replace('\'', "''")));
    Some(format!("({})", pieces.join(" || ")))
}

/// Which variable of the script makes numbers like this one.
fn variable(digits: &str) -> Option<&'static str> {
    let number: u64 = digits.parse().ok()?;
    match (digits.len(), number) {
        (13, _) => Some("millis"),
        (12, _) if number > NUMBER_BASE => Some("number"),
        (10, NEW_BASE..) => Some("new_id"),
        (10, KEY_BASE..) => Some("key"),
        (10, BACKUP_BASE..) => Some("backup"),
        (10, INSTANCE_BASE..) => Some("instance"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-22 13:54:33.123 UTC [77] LOG:  statement: BEGIN\n\
        2026-11-22 13:54:33.124 UTC [77] LOG:  execute __diesel_stmt_1: SELECT \"a\" FROM \"t\"\n\t WHERE x = $1 AND y = $2\n\
        2026-11-22 13:54:33.124 UTC [77] DETAIL:  parameters: $1 = 'it''s, $9 = ', $2 = NULL\n\
        2026-11-22 13:54:33.125 UTC [77] LOG:  statement: COMMIT\n";

    fn value(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn statements_are_read_with_their_parameters() {
        let statements = parse(LOG);
        let texts: Vec<_> = statements.iter().map(|one| one.sql.as_str()).collect();
        assert_eq!(texts, ["BEGIN", "SELECT \"a\" FROM \"t\" WHERE x = $1 AND y = $2", "COMMIT"]);
        assert_eq!(statements[1].parameters, [value("it's, $9 = "), None]);
        assert_eq!(parameters("$1 = 'a', $2 = '', $3 = '''', $4 = 'b'"), ["a", "", "'", "b"].map(value));
    }

    #[test]
    fn numbers_of_rows_become_variables_and_the_rest_stays() {
        assert_eq!(expression("1000000001").unwrap(), ":instance");
        assert_eq!(expression("7c9e-100000000007").unwrap(), "('7c9e-' || :number::text || '')");
        assert_eq!(
            expression("{\"{\\\"id\\\": 4000000001}\"}").unwrap(),
            "('{\"{\\\"id\\\": ' || :new_id::text || '}\"}')"
        );
        assert_eq!(expression("backup"), None);
        assert_eq!(expression("50"), None);
    }

    #[test]
    fn a_script_sends_the_same_statements_for_other_rows() {
        let statements = [
            Statement {
                sql: "INSERT INTO \"backups\" VALUES ($1, $2, $3)".to_owned(),
                parameters: vec![value("1000000001"), value("local"), None],
            },
            Statement { sql: "SELECT $1".to_owned(), parameters: vec![value("backup 4000000001")] },
        ];
        let script = script(&Fleet::new(10, 100), &statements);
        let lines: Vec<_> = script.text.lines().skip_while(|line| line.starts_with("\\set")).collect();
        assert_eq!(
            lines,
            [
                "INSERT INTO \"backups\" VALUES (:instance, :c0_1, NULL) \\gset new_",
                "SELECT ('backup ' || :new_id::text || '');"
            ]
        );
        assert_eq!(script.constants, [("c0_1".to_owned(), "local".to_owned())]);
        assert!(script.text.contains("random(0, 9)"));
    }
}
