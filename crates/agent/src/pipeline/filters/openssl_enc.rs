//! What `openssl enc -aes256 -md md5` reads and writes, in all its versions: `Salted__`, eight bytes of salt, and
//! AES-256-CBC with PKCS #7 padding, key and initialisation vector from `EVP_BytesToKey` with MD5 and one round. Nothing
//! in it is authenticated: damage is told by the SHA-256s in `metadata.json` and the checksum the manager keeps.

use std::io::{self, BufRead, Write};

use aes::Aes256;
use aes::cipher::inout::InOutBuf;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use md5::{Digest, Md5};

use super::{BUFFER, Filter, damaged, wrong_key};

const MAGIC: &[u8; 8] = b"Salted__";
const BLOCK: usize = 16;

pub(super) struct OpensslEnc {
    pub(super) key: String,
}

impl Filter for OpensslEnc {
    fn apply(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        let salt: [u8; 8] = rand::random();
        output.write_all(MAGIC)?;
        output.write_all(&salt)?;
        let (key, iv) = key_and_iv(&self.key, &salt);
        let mut cipher = cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into());
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            let is_end = fill(input, &mut buffer)?;
            if is_end {
                let padding = BLOCK.saturating_sub(buffer.len().checked_rem(BLOCK).unwrap_or_default());
                let length = buffer.len().saturating_add(padding);
                buffer.resize(length, u8::try_from(padding).unwrap_or_default());
            }
            let (blocks, _) = InOutBuf::from(buffer.as_mut_slice()).into_chunks();
            cipher.encrypt_blocks_inout_mut(blocks);
            output.write_all(&buffer)?;
            if is_end {
                return Ok(());
            }
            buffer.clear();
        }
    }

    fn undo(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        let mut header = [0; BLOCK];
        input.read_exact(&mut header)?;
        let mut cipher = decryptor(&header, &self.key)?;
        let mut buffer = Vec::with_capacity(BUFFER);
        // The last block is padding at least in part, so each is held back until it is known not to be the last.
        let mut held: Option<[u8; BLOCK]> = None;
        loop {
            let is_end = fill(input, &mut buffer)?;
            decrypt(&mut cipher, &mut buffer)?;
            if let Some((blocks, last)) = buffer.split_last_chunk::<BLOCK>() {
                if let Some(held) = held {
                    output.write_all(&held)?;
                }
                output.write_all(blocks)?;
                held = Some(*last);
            }
            if is_end {
                let last = held.ok_or_else(|| damaged("nothing follows the header"))?;
                return output.write_all(unpadded(&last)?);
            }
            buffer.clear();
        }
    }
}

/// Tries the key on the first bytes of a stream, inside which `magic` is expected.
pub(super) fn check_key(head: &[u8], key: &str, magic: &[u8]) -> io::Result<()> {
    let (header, rest) =
        head.split_first_chunk::<BLOCK>().ok_or_else(|| damaged("it has no whole header"))?;
    let mut cipher = decryptor(header, key)?;
    let mut first = rest.get(..BLOCK).ok_or_else(|| damaged("nothing follows the header"))?.to_vec();
    decrypt(&mut cipher, &mut first)?;
    match first.starts_with(magic) {
        true => Ok(()),
        false => Err(wrong_key()),
    }
}

/// `EVP_BytesToKey` with MD5, one round: D1 = MD5(key ‖ salt), Dn = MD5(Dn-1 ‖ key ‖ salt); D1 and D2 are the cipher's key,
/// D3 is its initialisation vector.
fn key_and_iv(key: &str, salt: &[u8]) -> ([u8; 32], [u8; BLOCK]) {
    let round = |before: &[u8]| -> [u8; BLOCK] {
        Md5::new().chain_update(before).chain_update(key).chain_update(salt).finalize().into()
    };
    let first = round(&[]);
    let second = round(&first);
    let mut cipher_key = [0; 32];
    let (left, right) = cipher_key.split_at_mut(BLOCK);
    left.copy_from_slice(&first);
    right.copy_from_slice(&second);
    (cipher_key, round(&second))
}

fn decryptor(header: &[u8; BLOCK], key: &str) -> io::Result<cbc::Decryptor<Aes256>> {
    let salt = header.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin with Salted__"))?;
    let (key, iv) = key_and_iv(key, salt);
    Ok(cbc::Decryptor::new(&key.into(), &iv.into()))
}

fn decrypt(cipher: &mut cbc::Decryptor<Aes256>, bytes: &mut [u8]) -> io::Result<()> {
    let (blocks, rest) = InOutBuf::from(bytes).into_chunks();
    if !rest.is_empty() {
        return Err(damaged("it ends within a block"));
    }
    cipher.decrypt_blocks_inout_mut(blocks);
    Ok(())
}

/// Reads until the buffer holds [`BUFFER`] bytes, which are whole blocks; true at the end of the input.
fn fill(input: &mut dyn BufRead, buffer: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let room = BUFFER.saturating_sub(buffer.len());
        if room == 0 {
            return Ok(false);
        }
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let taken = bytes.len().min(room);
        buffer.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        input.consume(taken);
    }
}

fn unpadded(last: &[u8; BLOCK]) -> io::Result<&[u8]> {
    let padding = last.last().copied().unwrap_or_default();
    let length = BLOCK.checked_sub(usize::from(padding)).ok_or_else(wrong_key)?;
    match last.split_at_checked(length) {
        Some((text, rest)) if !rest.is_empty() && rest.iter().all(|byte| *byte == padding) => Ok(text),
        _ => Err(wrong_key()),
    }
}
