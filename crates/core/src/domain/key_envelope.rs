//! What the manager writes beside a backup for the day on which its database is lost: the key the backup was made with,
//! and what else only the database knows of it, sealed under the operator's keys. The agent copies the text into
//! `metadata.json` and cannot read it. Form: `1.<base64url of nonce, AES-256-GCM ciphertext and tag>.<id of the operator's key>`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::cipher::{CipherError, KeyRing};
use super::identifiers::ServiceInstanceGuid;
use super::instance::ServiceInstance;

/// The first piece of every envelope. A program that does not know a version does not guess.
const VERSION: &str = "1";

/// What the catalogue says of a backup and its instance, and the rest of `metadata.json` does not.
#[derive(Debug, Clone)]
pub struct KeyEnvelope {
    /// The key the backup was made with.
    pub key: SecretString,
    /// The owner set it; it was not generated.
    pub is_own_key: bool,
    /// Asked for by the schedule.
    pub is_scheduled: bool,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// The instance as it was then.
    pub instance: InstanceFacts,
}

/// What is kept of the instance in every envelope. Unknown fields are ignored, missing ones are as good as none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceFacts {
    /// See [`ServiceInstance`].
    pub service_broker: String,
    /// See [`ServiceInstance`].
    pub data_service: String,
    /// See [`ServiceInstance`].
    pub plan_guid: Option<String>,
    /// See [`ServiceInstance`].
    pub deployment_name: Option<String>,
    /// See [`ServiceInstance`].
    pub service_guid: Option<String>,
    /// See [`ServiceInstance`].
    pub organization_guid: Option<String>,
    /// See [`ServiceInstance`].
    pub space_guid: Option<String>,
    /// See [`ServiceInstance`].
    pub min_backup_count: Option<i32>,
    /// See [`ServiceInstance`].
    pub retention_days: Option<i32>,
    /// See [`ServiceInstance`].
    pub exclude_from_auto_backup: bool,
    /// See [`ServiceInstance`].
    pub credentials_updated_by_user: bool,
}

impl From<&ServiceInstance> for InstanceFacts {
    fn from(instance: &ServiceInstance) -> Self {
        Self {
            service_broker: instance.service_broker.clone(),
            data_service: instance.data_service.clone(),
            plan_guid: instance.plan_guid.clone(),
            deployment_name: instance.deployment_name.clone(),
            service_guid: instance.service_guid.clone(),
            organization_guid: instance.organization_guid.clone(),
            space_guid: instance.space_guid.clone(),
            min_backup_count: instance.min_backup_count,
            retention_days: instance.retention_days,
            exclude_from_auto_backup: instance.exclude_from_auto_backup,
            credentials_updated_by_user: instance.credentials_updated_by_user,
        }
    }
}

/// Why an envelope gives nothing. Says nothing about its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not in the form of an envelope, or of a later version.
    #[error("the key envelope has a form that this program does not know")]
    UnknownFormat,
    /// Sealed under a key that is not configured.
    #[error("it is sealed under {0:?}, which is not among backup_manager_encryption_keys")]
    UnknownKey(String),
    /// Tampered with, of another backup, or the key text was changed under its id.
    #[error("the key envelope does not fit this backup, or not the key {0:?}")]
    Refused(String),
}

/// The sealed JSON.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    key: std::borrow::Cow<'a, str>,
    is_own_key: bool,
    is_scheduled: bool,
    triggered_at: DateTime<Utc>,
    #[serde(default)]
    instance: InstanceFacts,
}

impl KeyEnvelope {
    /// Seals it for this backup of this instance: anywhere else it cannot be opened.
    ///
    /// # Errors
    /// [`CipherError`] when there is no key to seal with.
    pub fn seal(
        &self,
        keys: &KeyRing,
        guid: &ServiceInstanceGuid,
        backup_id: &str,
    ) -> Result<String, CipherError> {
        let content = Content {
            key: self.key.expose_secret().into(),
            is_own_key: self.is_own_key,
            is_scheduled: self.is_scheduled,
            triggered_at: self.triggered_at,
            instance: self.instance.clone(),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&content).map_err(|_| CipherError::UnknownFormat)?);
        let (key_id, sealed) = keys.seal_envelope(&plain, &context(guid, backup_id))?;
        Ok(format!("{VERSION}.{}.{key_id}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens the envelope found beside this backup of this instance.
    ///
    /// # Errors
    /// [`EnvelopeError`] for every text that [`KeyEnvelope::seal`] did not make for the same backup under one of these keys.
    pub fn open(
        text: &str,
        keys: &KeyRing,
        guid: &ServiceInstanceGuid,
        backup_id: &str,
    ) -> Result<Self, EnvelopeError> {
        let mut pieces = text.splitn(3, '.');
        let (Some(VERSION), Some(sealed), Some(key_id)) = (pieces.next(), pieces.next(), pieces.next())
        else {
            return Err(EnvelopeError::UnknownFormat);
        };
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| EnvelopeError::UnknownFormat)?;
        let opened = keys.open_envelope(key_id, &sealed, &context(guid, backup_id));
        let plain = opened.map_err(|error| match error {
            CipherError::UnknownKey(id) => EnvelopeError::UnknownKey(id),
            CipherError::Refused => EnvelopeError::Refused(key_id.to_owned()),
            _ => EnvelopeError::UnknownFormat,
        })?;
        let content: Content<'_> =
            serde_json::from_slice(&plain).map_err(|_| EnvelopeError::UnknownFormat)?;
        Ok(Self {
            key: SecretString::from(content.key.into_owned()),
            is_own_key: content.is_own_key,
            is_scheduled: content.is_scheduled,
            triggered_at: content.triggered_at,
            instance: content.instance,
        })
    }
}

/// Binds an envelope to its version, instance and backup. No GUID has control characters.
fn context(guid: &ServiceInstanceGuid, backup_id: &str) -> Vec<u8> {
    [VERSION, guid.as_str(), backup_id].join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another implementation (HKDF and AES-GCM of Python's `cryptography`).
    const GOLDEN: &str = "1.AAECAwQFBgcICQoLvqny0GcwakQfsCk1GE_AGBplZE25j_58ipJnziY9N2l8SBe-35f61aX6onUVResCKMu-Sy9m\
        pcgm8p4SLFvLr3RY0Lv2wRqK-xNVt9pfZsyPPut3M8yAR05_vqVf7-BfJasUhlaTD65BBF1dAhOELhPwLaXH-gV_.1";

    fn ring(keys: &[(&str, &str)]) -> KeyRing {
        let keys = keys.iter().map(|(id, text)| ((*id).to_owned(), SecretString::from(*text)));
        KeyRing::new(keys.collect()).unwrap()
    }

    fn guid(text: &str) -> ServiceInstanceGuid {
        ServiceInstanceGuid::parse(text).unwrap()
    }

    fn envelope() -> KeyEnvelope {
        let instance = InstanceFacts {
            service_broker: "pg".into(),
            space_guid: Some("space".into()),
            retention_days: Some(90),
            ..InstanceFacts::default()
        };
        KeyEnvelope {
            key: "the owner's own key \"ü\"".into(),
            is_own_key: true,
            is_scheduled: true,
            triggered_at: DateTime::from_timestamp_micros(1_681_203_168_209_123).unwrap(),
            instance,
        }
    }

    fn sealed(keys: &KeyRing) -> String {
        envelope().seal(keys, &guid("g-1"), "b-1").unwrap()
    }

    fn refusal(text: &str, keys: &KeyRing, instance: &str, backup: &str) -> EnvelopeError {
        KeyEnvelope::open(text, keys, &guid(instance), backup).unwrap_err()
    }

    #[test]
    fn what_was_sealed_is_found_again_and_is_never_in_the_clear() {
        let keys = ring(&[("2026.new", "k"), ("old", "o")]);
        let text = sealed(&keys);
        assert!(text.starts_with("1.") && text.ends_with(".2026.new"), "{text}");
        assert_ne!(text, sealed(&keys));
        let opened = KeyEnvelope::open(&text, &keys, &guid("g-1"), "b-1").unwrap();
        assert_eq!(opened.key.expose_secret(), envelope().key.expose_secret());
        assert!(opened.is_own_key && opened.is_scheduled);
        assert_eq!((opened.triggered_at, opened.instance), (envelope().triggered_at, envelope().instance));
        assert!(!format!("{:?}", envelope()).contains("own key \""));
    }

    #[test]
    fn the_wrong_key_of_the_operator_opens_nothing() {
        let text = sealed(&ring(&[("1", "a")]));
        assert_eq!(refusal(&text, &ring(&[("2", "a")]), "g-1", "b-1"), EnvelopeError::UnknownKey("1".into()));
        assert_eq!(refusal(&text, &ring(&[("1", "b")]), "g-1", "b-1"), EnvelopeError::Refused("1".into()));
        assert!(KeyEnvelope::open(&text, &ring(&[("2", "b"), ("1", "a")]), &guid("g-1"), "b-1").is_ok());
    }

    #[test]
    fn an_envelope_moved_to_another_instance_or_backup_is_refused() {
        let keys = ring(&[("1", "a")]);
        for (instance, backup) in [("g-2", "b-1"), ("g-1", "b-2"), ("g", "-1\0b-1")] {
            assert_eq!(refusal(&sealed(&keys), &keys, instance, backup), EnvelopeError::Refused("1".into()));
        }
    }

    #[test]
    fn every_changed_character_and_every_truncation_is_noticed() {
        let keys = ring(&[("1", "a")]);
        let text = sealed(&keys);
        for index in 0..text.len() {
            let mut tampered = text.clone().into_bytes();
            tampered[index] = if tampered[index] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(tampered).unwrap();
            assert!(KeyEnvelope::open(&tampered, &keys, &guid("g-1"), "b-1").is_err(), "{index}");
            assert!(KeyEnvelope::open(&text[..index], &keys, &guid("g-1"), "b-1").is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_later_version_and_rubbish_are_not_guessed_at() {
        let keys = ring(&[("1", "a")]);
        let later = sealed(&keys).replacen("1.", "2.", 1);
        for text in [later.as_str(), "", "1", "1.!!.1", "1..1", "\u{fffd}.AAAA.1"] {
            assert_eq!(refusal(text, &keys, "g-1", "b-1"), EnvelopeError::UnknownFormat, "{text}");
        }
    }

    #[test]
    fn a_column_is_no_envelope() {
        let keys = ring(&[("1", "a")]);
        let (_, column) = keys.encrypt(&"k".to_owned().into(), b"g-1").unwrap();
        let text = format!("1.{}.1", URL_SAFE_NO_PAD.encode(&column[1..]));
        assert_eq!(refusal(&text, &keys, "g-1", "b-1"), EnvelopeError::Refused("1".into()));
    }

    #[test]
    fn an_envelope_of_this_version_stays_readable_for_ever() {
        let keys = ring(&[("1", "golden key text")]);
        let opened = KeyEnvelope::open(GOLDEN, &keys, &guid("golden-guid"), "golden-backup").unwrap();
        assert_eq!(opened.key.expose_secret(), "golden secret");
        assert_eq!(opened.instance, InstanceFacts::default());
    }
}
