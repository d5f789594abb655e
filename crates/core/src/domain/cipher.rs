//! Encrypts what must not stand in the database in the clear: the instances' encryption keys (spec 1.8). What is sealed
//! for the bucket is in [`key_envelope`](super::key_envelope), under keys derived apart.
//! AES-256-GCM under the operator's keys, of which the first encrypts and all decrypt, so that they can be rotated.
//! Knows no tables; the store binds each ciphertext to its row through the additional data.

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use rand::Rng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;

/// First byte of every ciphertext: version byte | 12 bytes nonce | AES-256-GCM ciphertext and tag.
const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 12;
/// Separates this use of the operator's key text from any other.
const DERIVATION_CONTEXT: &[u8] = b"a9s-backup-manager database column v1";
/// Derives the keys that seal envelopes, which leave the database.
const ENVELOPE_CONTEXT: &[u8] = b"a9s-backup-manager key envelope v1";

/// Why a column cannot be encrypted or decrypted. Says nothing about the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// No key at all.
    #[error("no key is configured for the database columns")]
    NoKeys,
    /// An empty key text.
    #[error("the key {0:?} of the database columns is empty")]
    EmptyKey(String),
    /// Two keys of one name.
    #[error("the key id {0:?} is configured twice")]
    DuplicateKey(String),
    /// The key a column was encrypted with has left the configuration.
    #[error("the key {0:?} of a database column is not configured any more")]
    UnknownKey(String),
    /// Written by a newer version, or not a ciphertext.
    #[error("the encrypted column has an unknown format")]
    UnknownFormat,
    /// Tampered with, moved from another row, or the key text was changed under its id.
    #[error("the encrypted column does not fit its key or its row")]
    Refused,
}

struct ColumnKey {
    id: String,
    key: SecretBox<[u8; 32]>,
    envelope_key: SecretBox<[u8; 32]>,
}

/// The operator's keys, in the order of the configuration; cheap to clone, prints no key.
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<[ColumnKey]>,
}

impl KeyRing {
    /// Takes `(id, key text)` pairs: the first encrypts, all decrypt.
    ///
    /// The AES key is derived from the text with HKDF-SHA-256, which adds no strength: the text has to be random
    /// (for example `openssl rand -base64 32`), not a word somebody can guess.
    pub fn new(keys: Vec<(String, SecretString)>) -> Result<Self, CipherError> {
        let mut ring: Vec<ColumnKey> = Vec::new();
        for (id, text) in keys {
            if text.expose_secret().is_empty() {
                return Err(CipherError::EmptyKey(id));
            }
            if ring.iter().any(|known| known.id == id) {
                return Err(CipherError::DuplicateKey(id));
            }
            let (key, envelope_key) = (derive(&text, DERIVATION_CONTEXT), derive(&text, ENVELOPE_CONTEXT));
            ring.push(ColumnKey { id, key, envelope_key });
        }
        if ring.is_empty() { Err(CipherError::NoKeys) } else { Ok(Self { keys: ring.into() }) }
    }

    /// The id of the key that encrypts.
    #[must_use]
    pub fn current_key_id(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }

    /// Encrypts a text for the row that `row` names (the bytes of the instance's GUID); returns the key's id and the ciphertext.
    pub fn encrypt(&self, plain: &SecretString, row: &[u8]) -> Result<(String, Vec<u8>), CipherError> {
        let key = self.keys.first().ok_or(CipherError::NoKeys)?;
        let sealed = seal(&key.key, plain.expose_secret().as_bytes(), &additional_data(row))?;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&sealed);
        Ok((key.id.clone(), bytes))
    }

    /// Decrypts what [`KeyRing::encrypt`] made under the key `key_id` for the same row.
    pub fn decrypt(&self, key_id: &str, bytes: &[u8], row: &[u8]) -> Result<SecretString, CipherError> {
        let key = self.find(key_id)?;
        let (version, sealed) = bytes.split_first().ok_or(CipherError::UnknownFormat)?;
        if *version != VERSION {
            return Err(CipherError::UnknownFormat);
        }
        let plain = open(&key.key, sealed, &additional_data(row))?;
        let text = std::str::from_utf8(&plain).map_err(|_| CipherError::Refused)?;
        Ok(SecretString::from(text))
    }

    /// Seals bytes for outside of the database, bound to `context`; returns the key's id and nonce, ciphertext and tag.
    pub(super) fn seal_envelope(
        &self,
        plain: &[u8],
        context: &[u8],
    ) -> Result<(String, Vec<u8>), CipherError> {
        let key = self.keys.first().ok_or(CipherError::NoKeys)?;
        Ok((key.id.clone(), seal(&key.envelope_key, plain, context)?))
    }

    /// Opens what [`KeyRing::seal_envelope`] made for the same context.
    pub(super) fn open_envelope(
        &self,
        key_id: &str,
        sealed: &[u8],
        context: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        open(&self.find(key_id)?.envelope_key, sealed, context)
    }

    fn find(&self, key_id: &str) -> Result<&ColumnKey, CipherError> {
        let found = self.keys.iter().find(|key| key.id == key_id);
        found.ok_or_else(|| CipherError::UnknownKey(key_id.to_owned()))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

/// Makes an encryption key for an instance whose owner set none: 256 random bits as 43 URL-safe characters.
#[must_use]
pub fn generate_instance_key() -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::rng().fill(&mut *bytes);
    SecretString::from(URL_SAFE_NO_PAD.encode(*bytes))
}

fn derive(text: &SecretString, context: &[u8]) -> SecretBox<[u8; 32]> {
    let hkdf = Hkdf::<Sha256>::new(None, text.expose_secret().as_bytes());
    SecretBox::init_with_mut(|key: &mut [u8; 32]| {
        // Fails only above 8160 bytes of output.
        let _ = hkdf.expand(context, key);
    })
}

/// Nonce, ciphertext and tag.
fn seal(key: &SecretBox<[u8; 32]>, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, CipherError> {
    let mut nonce = [0_u8; NONCE_LENGTH];
    rand::rng().fill(&mut nonce);
    let payload = Payload { msg: plain, aad };
    let sealed = Aes256Gcm::new(key.expose_secret().into()).encrypt(Nonce::from_slice(&nonce), payload);
    let mut bytes = nonce.to_vec();
    bytes.extend_from_slice(&sealed.map_err(|_| CipherError::Refused)?);
    Ok(bytes)
}

fn open(key: &SecretBox<[u8; 32]>, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LENGTH).ok_or(CipherError::UnknownFormat)?;
    let payload = Payload { msg: sealed, aad };
    let plain = Aes256Gcm::new(key.expose_secret().into()).decrypt(Nonce::from_slice(nonce), payload);
    plain.map(Zeroizing::new).map_err(|_| CipherError::Refused)
}

/// Binds a ciphertext to its format and its row.
fn additional_data(row: &[u8]) -> Vec<u8> {
    let mut data = vec![VERSION];
    data.extend_from_slice(row);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another implementation (HKDF and AES-GCM of Python's `cryptography`).
    const GOLDEN: &str =
        "01000102030405060708090a0b2a3468d82362b93cda328778e2cc571f6bd692e8a5ce8da43d446523c6";

    fn ring(keys: &[(&str, &str)]) -> KeyRing {
        let keys = keys.iter().map(|(id, text)| ((*id).to_owned(), SecretString::from(*text))).collect();
        KeyRing::new(keys).unwrap()
    }

    fn secret() -> SecretString {
        SecretString::from("the owner's own key")
    }

    #[test]
    fn what_was_encrypted_is_read_back_and_looks_different_every_time() {
        let ring = ring(&[("2026", "k1")]);
        let (id, first) = ring.encrypt(&secret(), b"g-1").unwrap();
        let (_, second) = ring.encrypt(&secret(), b"g-1").unwrap();
        assert_eq!(id, "2026");
        assert_ne!(first, second);
        let plain = ring.decrypt(&id, &first, b"g-1").unwrap();
        assert_eq!(plain.expose_secret(), secret().expose_secret());
    }

    #[test]
    fn after_a_rotation_the_new_key_encrypts_and_the_old_one_still_decrypts() {
        let (old_id, old) = ring(&[("1", "old")]).encrypt(&secret(), b"g").unwrap();
        let rotated = ring(&[("2", "new"), ("1", "old")]);
        assert_eq!(rotated.current_key_id(), "2");
        assert!(rotated.decrypt(&old_id, &old, b"g").is_ok());
        assert_eq!(rotated.encrypt(&secret(), b"g").unwrap().0, "2");
        let gone = ring(&[("2", "new")]).decrypt(&old_id, &old, b"g").unwrap_err();
        assert_eq!(gone, CipherError::UnknownKey("1".into()));
    }

    #[test]
    fn a_ciphertext_of_another_row_or_another_key_text_is_refused() {
        let (id, bytes) = ring(&[("1", "a")]).encrypt(&secret(), b"g-1").unwrap();
        let refused = |ring: &KeyRing, row: &str| ring.decrypt(&id, &bytes, row.as_bytes()).unwrap_err();
        assert_eq!(refused(&ring(&[("1", "a")]), "g-2"), CipherError::Refused);
        assert_eq!(refused(&ring(&[("1", "b")]), "g-1"), CipherError::Refused);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_noticed() {
        let ring = ring(&[("1", "a")]);
        let (id, bytes) = ring.encrypt(&secret(), b"g").unwrap();
        for index in 0..bytes.len() {
            let mut tampered = bytes.clone();
            tampered[index] ^= 1;
            assert!(ring.decrypt(&id, &tampered, b"g").is_err(), "byte {index}");
            assert!(ring.decrypt(&id, &bytes[..index], b"g").is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_ciphertext_of_this_version_stays_readable_for_ever() {
        let bytes = hex::decode(GOLDEN).unwrap();
        let plain = ring(&[("1", "golden key text")]).decrypt("1", &bytes, b"golden-guid").unwrap();
        assert_eq!(plain.expose_secret(), "golden secret");
    }

    #[test]
    fn rings_that_cannot_work_are_refused() {
        let new = |keys: &[(&str, &str)]| {
            let keys = keys.iter().map(|(id, text)| ((*id).to_owned(), SecretString::from(*text)));
            KeyRing::new(keys.collect()).unwrap_err()
        };
        assert_eq!(new(&[]), CipherError::NoKeys);
        assert_eq!(new(&[("1", "")]), CipherError::EmptyKey("1".into()));
        assert_eq!(new(&[("1", "a"), ("1", "b")]), CipherError::DuplicateKey("1".into()));
    }

    #[test]
    fn generated_keys_are_long_and_never_repeat() {
        let (a, b) = (generate_instance_key(), generate_instance_key());
        assert_eq!(a.expose_secret().len(), 43);
        assert_ne!(a.expose_secret(), b.expose_secret());
    }

    #[test]
    fn debug_output_names_the_ids_and_no_key() {
        assert_eq!(format!("{:?}", ring(&[("1", "very-secret")])), r#"["1"]"#);
    }
}
