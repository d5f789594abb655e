//! How much belongs to instances, so that a reader can decide how many of them to read at once.

use std::collections::HashMap;

use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};

use crate::Result;
use crate::domain::identifiers::ServiceInstanceId;

/// Counts in the order of the instances and no further than to the limit, whatever there is.
const COUNT: &str = "
    SELECT id, count(*) AS rows
    FROM (SELECT i.id
          FROM unnest($1) AS i (id), LATERAL (
              (SELECT 1 FROM backups WHERE service_instance_id = i.id LIMIT $2)
              UNION ALL
              (SELECT 1 FROM restores WHERE service_instance_id = i.id LIMIT $2)) AS belonging
          LIMIT $2) AS counted
    GROUP BY id";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// How many of the first instances have at most `limit` backups and restores together.
pub fn count_fitting(conn: &mut PgConnection, instances: &[ServiceInstanceId], limit: i64) -> Result<usize> {
    let ids: Vec<i64> = instances.iter().map(|id| id.0).collect();
    let counted: Vec<Row> = diesel::sql_query(COUNT)
        .bind::<Array<BigInt>, _>(&ids)
        // One more tells that the last one counted has more.
        .bind::<BigInt, _>(limit.saturating_add(1))
        .load(conn)?;
    let rows: HashMap<_, _> = counted.into_iter().map(|row| (row.id, row.rows)).collect();
    let fits = |sum: &mut i64, id: &i64| {
        *sum = sum.saturating_add(rows.get(id).copied().unwrap_or_default());
        (*sum <= limit).then_some(())
    };
    Ok(ids.iter().scan(0, fits).count())
}
