//! `backupctl hash-password`: the Argon2id hash of a password, for `auth.users` of the manager's configuration.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;
use crate::output::Screen;
use crate::prompt;
use crate::settings::secret_from_file;

pub(super) fn run(screen: &mut Screen, file: Option<&Path>) -> Result<(), Error> {
    let password = match file {
        Some(file) => secret_from_file(file)?,
        None => read()?,
    };
    if password.expose_secret().is_empty() {
        return Err(Error::Usage("an empty password protects nothing".into()));
    }
    screen.line(&hash(&password)?)
}

fn read() -> Result<SecretString, Error> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(SecretString::from(line.trim_end_matches(['\n', '\r'])));
    }
    let password = prompt::secret("Password: ")?;
    let again = prompt::secret("Once more: ")?;
    if password.expose_secret() == again.expose_secret() {
        Ok(password)
    } else {
        Err(Error::Usage("the two passwords differ".into()))
    }
}

/// OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane; also the library's default.
fn hash(password: &SecretString) -> Result<String, Error> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let salt = SaltString::generate(&mut OsRng);
    argon2
        .hash_password(password.expose_secret().as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| Error::Local(error.to_string()))
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHash, PasswordVerifier};

    use super::*;

    #[test]
    fn the_hash_is_argon2id_and_verifies_the_password_and_no_other() {
        let text = hash(&SecretString::from("correct horse")).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = PasswordHash::new(&text).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &hash).is_ok());
        assert!(Argon2::default().verify_password(b"battery staple", &hash).is_err());
    }
}
