//! Notices connections that are lost without anybody's saying so. A host that hangs may go on confirming, in its kernel,
//! what it gets: no time-out of TCP ends such a connection, and libpq waits for an answer without one. When meanwhile
//! another server has taken over, the pools would wait for the old one for ever.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Database, now};

/// Longer than a working database takes to tell its time.
const ANSWER: Duration = Duration::from_secs(5);

/// Ends when the connection for health checks, or all others together, have been silent for `silence`, and twice since then a
/// new connection was answered: the process will not get at its database again. A database that answers nobody is waited for.
pub async fn lost(database: &Database, silence: Duration) {
    let pause = silence.checked_div(4).unwrap_or(silence);
    let (mut answered, mut others, mut pulse) = (Instant::now(), 0_u8, None);
    while others < 2 {
        sleep(pause).await;
        let last = std::mem::replace(&mut pulse, database.pulse());
        let moves = pulse.is_none() || pulse != last;
        if answers(&database.for_checks()).await && moves {
            (answered, others) = (Instant::now(), 0);
        } else if answered.elapsed() >= silence
            && let Some(anew) = database.anew()
            && answers(&anew).await
        {
            // The pool may have needed a little longer than this one; then it answers the next time.
            others = others.saturating_add(1);
        }
    }
}

async fn answers(database: &Database) -> bool {
    matches!(timeout(ANSWER, database.transaction(now)).await, Ok(Ok(_)))
}
