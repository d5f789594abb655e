//! `status IN ('queued', 'running')` spelled out in the SQL. With the words as parameters, Postgres could not use the
//! indexes that hold unfinished rows only, unless it planned the statement anew for each request.

use diesel::expression::{ValidGrouping, is_aggregate};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

macro_rules! unfinished {
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

unfinished!(
    /// The backup is queued or running.
    UnfinishedBackup,
    "backups.status IN ('queued', 'running')"
);
unfinished!(
    /// The restore is queued or running.
    UnfinishedRestore,
    "restores.status IN ('queued', 'running')"
);
