//! Word to systemd: ready, stopping, still alive. Does nothing when systemd did not start the process.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Says that the daemon serves.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Says that the daemon stops.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Shows a line in `systemctl status`.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// Says "still alive" at half the interval the unit asks for (`WatchdogSec=`), until the token is cancelled.
/// Must be called inside a Tokio runtime: a runtime that no longer turns is what the watchdog shall notice.
pub fn watchdog(until: CancellationToken) {
    let mut microseconds = 0;
    if !sd_notify::watchdog_enabled(false, &mut microseconds) || microseconds == 0 {
        return;
    }
    let half = Duration::from_micros(microseconds.div_ceil(2));
    tokio::spawn(async move {
        while tokio::time::timeout(half, until.cancelled()).await.is_err() {
            notify(&[NotifyState::Watchdog]);
        }
    });
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::debug!(%error, "systemd did not take the notification");
    }
}
