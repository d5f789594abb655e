//! The age v1 file format with a passphrase, as the program `age` reads and writes it: authenticated piece by piece.

use std::io::{self, BufRead, Write};

use age::secrecy::SecretString;
use age::stream::StreamReader;
use age::{DecryptError, Decryptor, Encryptor, scrypt};

use super::{Filter, copy, pump, wrong_key};

/// scrypt with N = 2^15, r = 8: 32 MiB for a moment, a tenth of a second. The manager's own keys cannot be guessed at all;
/// an owner's may be short, so guessing is made dear, but an agent lives beside a data service and is to stay below
/// 128 MiB in all: 2^17 takes that alone, and with 2^16 the peak of a whole restore was 116 MiB, with 2^15 it is 85 MiB.
const WORK_FACTOR: u8 = 15;

/// The program `age` writes 2^18, which takes 256 MiB; more is not worth the memory of the machine of a data service.
const LARGEST_WORK_FACTOR: u8 = 18;

pub(super) struct Age {
    pub(super) key: String,
}

impl Filter for Age {
    fn apply(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        let mut recipient = scrypt::Recipient::new(SecretString::from(self.key.clone()));
        recipient.set_work_factor(WORK_FACTOR);
        let recipients: [&dyn age::Recipient; 1] = [&recipient];
        let encryptor = Encryptor::with_recipients(recipients.into_iter()).map_err(io::Error::other)?;
        let mut encrypted = encryptor.wrap_output(output)?;
        pump(input, &mut encrypted)?;
        encrypted.finish().map(drop)
    }

    fn undo(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        copy(open(input, &self.key)?, output)
    }
}

/// Opens a stream that begins at its header.
pub(super) fn open<R: BufRead>(input: R, key: &str) -> io::Result<StreamReader<R>> {
    let mut identity = scrypt::Identity::new(SecretString::from(key.to_owned()));
    identity.set_max_work_factor(LARGEST_WORK_FACTOR);
    let identities: [&dyn age::Identity; 1] = [&identity];
    let opened = Decryptor::new_buffered(input).and_then(|d| d.decrypt(identities.into_iter()));
    opened.map_err(|error| match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => wrong_key(),
        DecryptError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    })
}
