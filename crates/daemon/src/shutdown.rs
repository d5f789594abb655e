//! The wish to stop: SIGTERM and SIGINT cancel a token once; a second signal ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit;

/// A token that is cancelled by the first SIGTERM or SIGINT. Must be called inside a Tokio runtime.
pub fn token() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let mut seen = 0_u8;
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            seen = seen.saturating_add(1);
            if seen > 1 {
                tracing::warn!(signal = name, "stopping at once, asked a second time");
                std::process::exit(exit::FAILED.into());
            }
            cancelled.cancel();
            tracing::info!(signal = name, "stopping");
        }
    });
    Ok(token)
}
