//! What the database was asked, as `pg_stat_statements` counts it.

use super::figures::Figures;
use super::stage::Stage;

/// Not ours: the measurement's own questions, and the extension's.
const OURS: &str = "FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
    WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%/* bench */%' AND toplevel";

/// Forgets everything so far.
pub(super) fn reset(stage: &Stage) -> anyhow::Result<()> {
    stage.execute("SELECT pg_stat_statements_reset()")
}

/// Adds how many statements there were for each of `units`, and how many of them only frame others.
pub(super) fn add(figures: &mut Figures, stage: &Stage, units: f64, per: &str) -> anyhow::Result<()> {
    let count = |condition: &str| stage.number(&format!("SELECT coalesce(sum(calls), 0) {OURS} {condition}"));
    let all = count("")?;
    let frames =
        count("AND (upper(query) IN ('BEGIN', 'COMMIT', 'ROLLBACK') OR query IN ('SELECT 1', 'SELECT $1'))")?;
    figures.add(format!("statements per {per}"), "", all / units);
    figures.add(format!("of these BEGIN, COMMIT and tests of the connection, per {per}"), "", frames / units);
    let seconds = stage.number(&format!("SELECT coalesce(sum(total_exec_time), 0) / 1000 {OURS}"))?;
    figures.add(format!("execution time in the database per {per}"), "ms", seconds * 1000.0 / units);
    Ok(())
}

/// The statements that took most time, for people who look for a bottleneck.
pub(super) fn top(stage: &Stage) -> anyhow::Result<String> {
    let rows = stage.rows(&format!(
        "SELECT round(total_exec_time), calls, round((total_exec_time / calls)::numeric, 3), rows,
                replace(left(regexp_replace(query, '\\s+', ' ', 'g'), 150), '|', '/')
         {OURS} ORDER BY total_exec_time DESC LIMIT 14"
    ))?;
    let lines = rows.iter().map(|row| row.join(" | "));
    Ok(format!("total ms | calls | ms each | rows | statement\n{}", lines.collect::<Vec<_>>().join("\n")))
}
