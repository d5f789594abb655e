//! Conditions on rows, spelled out in the SQL. With the words as parameters, Postgres could not use the indexes that
//! hold rows of some statuses only, unless it planned the statement anew for each request.

use diesel::expression::{ValidGrouping, is_aggregate};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

macro_rules! condition {
    ($(#[$doc:meta])* $name:ident, $sql:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, QueryId)]
        pub(super) struct $name;

        impl Expression for $name {
            type SqlType = Bool;
        }

        impl ValidGrouping<()> for $name {
            type IsAggregate = is_aggregate::No;
        }

        // Where the table is not there, Postgres refuses the statement.
        impl<Source> AppearsOnTable<Source> for $name {}

        impl<Source> SelectableExpression<Source> for $name {}

        impl QueryFragment<Pg> for $name {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql($sql);
                Ok(())
            }
        }
    };
}

condition!(
    /// The restore is queued or running.
    UnfinishedRestore,
    "restores.status IN ('queued', 'running')"
);
condition!(
    /// The rehearsal is queued or running.
    UnfinishedRehearsal,
    "rehearsals.status IN ('queued', 'running')"
);
condition!(
    /// The newest verdict of a rehearsal is bad.
    VerificationFailed,
    "verifications.verdict = 'failed'"
);
condition!(
    /// The hold's time is not over.
    HoldInForce,
    "(holds.held_until IS NULL OR holds.held_until > now())"
);
