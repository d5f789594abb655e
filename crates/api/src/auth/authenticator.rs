//! Compares a password with its Argon2id hash without telling more than yes or no: an unknown user takes as long as
//! a known one, the comparison is constant-time, and a verified pair is remembered under a salted digest, so
//! that it costs one key derivation and no more: not a second time, and none behind the attempts of others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{self, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use backup_config::UserSettings;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::attempts::{Attempts, Wait};
use super::user::User;

/// How long a verified pair of name and password is believed after its last use: users do not change while the
/// process runs, so what was right is right.
const TRUST: Duration = Duration::from_secs(24 * 3600);

/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Each verification needs about 19 MiB and a core for some milliseconds; more at once help nobody.
const AT_ONCE: usize = 2;

/// The queues for verifications: one is under way in each.
type Queues = [Arc<Semaphore>; AT_ONCE];

/// Why a pair was not looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The client was wrong too often.
    TooManyFailures(Wait),
    /// Too many others were to be looked at.
    Busy,
}

impl From<Wait> for Refused {
    fn from(wait: Wait) -> Self {
        Self::TooManyFailures(wait)
    }
}

/// The users of the configuration.
pub(crate) struct Authenticator {
    users: HashMap<String, (SecretString, User)>,
    /// Verified in the place of an unknown user's hash.
    stand_in: SecretString,
    salt: [u8; 32],
    /// When each was used last. A user has one password, so there are no more entries than users.
    verified: Mutex<HashMap<[u8; 32], (Instant, User)>>,
    queues: Queues,
    patience: Duration,
    attempts: Arc<Attempts>,
}

impl Authenticator {
    pub(crate) fn new(users: &[UserSettings]) -> Self {
        let mut salt = [0; 32];
        let (first, second) = salt.split_at_mut(16);
        first.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        second.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        Self {
            users: users
                .iter()
                .map(|user| (user.name.clone(), (user.password_hash.clone(), user.into())))
                .collect(),
            stand_in: users.first().map(|user| user.password_hash.clone()).unwrap_or_default(),
            salt,
            verified: Mutex::default(),
            queues: std::array::from_fn(|_| Arc::new(Semaphore::new(1))),
            patience: PATIENCE,
            attempts: Arc::default(),
        }
    }

    /// The user, if name and password are right. A client that was wrong too often has to wait, except with what was
    /// right before.
    pub(crate) async fn verify(
        &self,
        name: &str,
        password: String,
        client: IpAddr,
    ) -> Result<Option<User>, Refused> {
        let digest = self.digest(name, &password);
        if let Some(user) = self.recall(&digest) {
            return Ok(Some(user));
        }
        self.attempts.check(client, Instant::now())?;
        let turn = timeout(self.patience, self.queue(&digest).acquire_owned()).await;
        // While this one waited for its turn, others of the same client may have had theirs.
        if let Some(user) = self.recall(&digest) {
            return Ok(Some(user));
        }
        let Ok(Ok(turn)) = turn else { return Err(Refused::Busy) };
        self.attempts.check(client, Instant::now())?;
        let known = self.users.get(name);
        let hash = known.map_or(&self.stand_in, |(hash, _)| hash).clone();
        let (is_known, attempts) = (known.is_some(), Arc::clone(&self.attempts));
        // The turn is held, and the failure counted, also for a client that does not wait for the answer.
        let verified = tokio::task::spawn_blocking(move || {
            let is_right = is_password(&hash, &password) && is_known;
            if !is_right {
                attempts.fail(client, Instant::now());
            }
            drop(turn);
            is_right
        });
        let is_right = verified.await.unwrap_or(false);
        let Some((_, user)) = known.filter(|_| is_right) else { return Ok(None) };
        self.lock().insert(digest, (Instant::now(), user.clone()));
        Ok(Some(user.clone()))
    }

    /// The same pair always waits in the same queue: a crowd that comes with it has it verified once, not twice at a time.
    fn queue(&self, digest: &[u8; 32]) -> Arc<Semaphore> {
        let [even, odd] = &self.queues;
        let is_even = digest.first().is_none_or(|byte| byte % 2 == 0);
        Arc::clone(if is_even { even } else { odd })
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix(self.salt);
        hasher.update(name.len().to_le_bytes());
        hasher.update(name);
        hasher.update(password);
        hasher.finalize().into()
    }

    /// The user of a pair that was verified, and used lately.
    fn recall(&self, digest: &[u8; 32]) -> Option<User> {
        let mut verified = self.lock();
        let (at, user) = verified.get_mut(digest).filter(|(at, _)| at.elapsed() < TRUST)?;
        *at = Instant::now();
        Some(user.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, User)>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes an Argon2id hash in PHC form, with a random salt, for `auth.users[].password_hash`.
pub fn hash_password(password: &SecretString) -> Result<String, password_hash::Error> {
    let salt = SaltString::generate(&mut OsRng);
    Ok(Argon2::default().hash_password(password.expose_secret().as_bytes(), &salt)?.to_string())
}

fn is_password(hash: &SecretString, password: &str) -> bool {
    PasswordHash::new(hash.expose_secret())
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use backup_config::Role;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn authenticator() -> Authenticator {
        Authenticator::new(&[UserSettings {
            name: "ann".into(),
            password_hash: hash_password(&"right".into()).unwrap().into(),
            role: Role::Operator,
            instances: Vec::new(),
            organizations: Vec::new(),
            spaces: Vec::new(),
        }])
    }

    #[tokio::test]
    async fn what_was_right_once_waits_for_no_turn_and_the_rest_not_for_ever() {
        let authenticator = Authenticator { patience: Duration::from_millis(1), ..authenticator() };
        assert!(authenticator.verify("ann", "right".into(), CLIENT).await.unwrap().is_some());
        let others =
            authenticator.queue(&authenticator.digest("ann", "wrong")).acquire_owned().await.unwrap();
        assert!(authenticator.verify("ann", "right".into(), CLIENT).await.unwrap().is_some());
        let refused = authenticator.verify("ann", "wrong".into(), CLIENT).await;
        assert_eq!(refused, Err(Refused::Busy));
        drop(others);
        assert_eq!(authenticator.verify("ann", "wrong".into(), CLIENT).await, Ok(None));
    }

    #[tokio::test]
    async fn a_pair_that_nobody_has_used_for_a_day_is_verified_again() {
        let authenticator = authenticator();
        let digest = authenticator.digest("ann", "right");
        assert!(authenticator.verify("ann", "right".into(), CLIENT).await.unwrap().is_some());
        let age = |by: Duration| {
            authenticator.lock().values_mut().for_each(|(at, _)| *at = at.checked_sub(by).unwrap());
        };
        age(TRUST - Duration::from_secs(60));
        assert!(authenticator.recall(&digest).is_some());
        age(TRUST - Duration::from_secs(60));
        assert!(authenticator.recall(&digest).is_some(), "its use counts");
        age(TRUST);
        assert!(authenticator.recall(&digest).is_none());
    }
}
