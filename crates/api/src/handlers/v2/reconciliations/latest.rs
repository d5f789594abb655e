//! `GET /v2/reconciliations/latest`

use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};

/// The one that was asked for last.
pub(crate) async fn show(core: Core, query: Query) -> Answer {
    super::answer(core, None, query).await
}
