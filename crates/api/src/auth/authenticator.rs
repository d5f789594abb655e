//! Compares a password with its Argon2id hash without telling more than yes or no: an unknown user takes as long as
//! a known one, the comparison is constant-time, and a verified pair is remembered for a minute under a salted
//! digest, so that a busy client does not cost a key derivation per request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{self, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use backup_config::{Role, UserSettings};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// How long a verified pair of name and password is remembered.
const REMEMBER: Duration = Duration::from_secs(60);

/// Each verification needs about 19 MiB and a core for some milliseconds; more at once help nobody.
const AT_ONCE: usize = 4;

/// A user whose password was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// The users of the configuration.
pub(crate) struct Authenticator {
    users: HashMap<String, (SecretString, Role)>,
    /// Verified in the place of an unknown user's hash.
    stand_in: SecretString,
    salt: [u8; 32],
    verified: Mutex<HashMap<[u8; 32], (Instant, User)>>,
    turns: Semaphore,
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
                .map(|user| (user.name.clone(), (user.password_hash.clone(), user.role)))
                .collect(),
            stand_in: users.first().map(|user| user.password_hash.clone()).unwrap_or_default(),
            salt,
            verified: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// The user, if name and password are right.
    pub(crate) async fn verify(&self, name: &str, password: String) -> Option<User> {
        let digest = self.digest(name, &password);
        if let Some(user) = self.recall(&digest) {
            return Some(user);
        }
        let known = self.users.get(name);
        let hash = known.map_or(&self.stand_in, |(hash, _)| hash).clone();
        let is_right = {
            let _turn = self.turns.acquire().await.ok()?;
            tokio::task::spawn_blocking(move || is_password(&hash, &password)).await.unwrap_or(false)
        };
        let (_, role) = known.filter(|_| is_right)?;
        let user = User { name: name.to_owned(), role: *role };
        self.remember(digest, user.clone());
        Some(user)
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix(self.salt);
        hasher.update(name.len().to_le_bytes());
        hasher.update(name);
        hasher.update(password);
        hasher.finalize().into()
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<User> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(digest).filter(|(until, _)| *until > Instant::now()).map(|(_, user)| user.clone())
    }

    fn remember(&self, digest: [u8; 32], user: User) {
        let now = Instant::now();
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.retain(|_, (until, _)| *until > now);
        verified.insert(digest, (now + REMEMBER, user));
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
