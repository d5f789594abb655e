//! In which form backups are stored: what new ones are asked for, and what a stored one needs to be undone.

use backup_protocol::{Compression, CompressionScheme, EncryptionScheme};

/// The form of new backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredForm {
    /// zstd, then age: authenticated.
    #[default]
    Default,
    /// gzip, then `openssl enc`: for platforms whose other programs read backups themselves.
    Legacy,
}

impl StoredForm {
    /// The encryption of new backups.
    pub fn encryption(self) -> EncryptionScheme {
        match self {
            Self::Default => EncryptionScheme::Age,
            Self::Legacy => EncryptionScheme::OpensslEnc,
        }
    }

    /// The compression of new backups; `level` is on zstd's scale, of which gzip has the lower half.
    pub fn compression(self, level: i32) -> Compression {
        match self {
            Self::Default => Compression { scheme: CompressionScheme::Zstd, level },
            Self::Legacy => Compression { scheme: CompressionScheme::Gzip, level: level.clamp(1, 9) },
        }
    }
}

/// The encryption of a stored backup, from its filters. The agent compares it with the backup's metadata.
pub fn encryption_of(filter_plugins: &[String]) -> EncryptionScheme {
    match filter_plugins.iter().any(|filter| filter == EncryptionScheme::OpensslEnc.name()) {
        true => EncryptionScheme::OpensslEnc,
        false => EncryptionScheme::Age,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_backup_is_undone_with_the_encryption_it_was_made_with() {
        for form in [StoredForm::Default, StoredForm::Legacy] {
            let filters = match form {
                StoredForm::Default => ["zstd", "age"],
                StoredForm::Legacy => ["gzip", "openssl-enc"],
            };
            assert_eq!(encryption_of(&filters.map(str::to_owned)), form.encryption());
        }
    }

    #[test]
    fn the_legacy_form_never_asks_for_a_level_gzip_does_not_have() {
        for (level, asked) in [(1, 1), (3, 3), (9, 9), (19, 9)] {
            assert_eq!(StoredForm::Legacy.compression(level).level, asked);
            assert_eq!(StoredForm::Default.compression(level).level, level);
        }
    }
}
