//! One recovery at a time: two at once would remove the same things and undo each other's steps.

use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use super::DriverError;
use crate::session::Session;

/// A lock whose waiting ends with the session, unlike that of a mutex.
#[derive(Debug, Default)]
pub(super) struct Alone(Mutex<()>);

impl Alone {
    /// Waits until nobody else holds it.
    pub(super) fn lock(&self, session: &Session) -> Result<MutexGuard<'_, ()>, DriverError> {
        loop {
            session.check()?;
            match self.0.try_lock() {
                Ok(alone) => return Ok(alone),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Stop;

    #[test]
    fn one_recovery_waits_for_another_and_can_be_stopped_meanwhile() {
        let lock = Alone::default();
        let session = Session::default();
        let alone = lock.lock(&session).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock.lock(&session).is_err());
            session.stop(Stop::Cancelled);
            assert!(waiting.join().unwrap(), "stopped while waiting");
        });
        drop(alone);
        assert!(lock.lock(&Session::default()).is_ok());
    }
}
