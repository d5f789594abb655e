//! Each filter alone and in chains: round trips at every awkward length, and what a wrong key or a cut gives.

use std::io::{self, Cursor};

use backup_protocol::CompressionScheme;

use super::*;

const LENGTHS: &[usize] = &[0, 1, 15, 16, 17, 31, 32, 33, 65_536, BUFFER - 1, BUFFER, BUFFER + 1, 300_000];

fn filters(key: &str) -> Vec<(&'static str, Box<dyn Filter>)> {
    vec![
        ("zstd", Box::new(zstd::Zstd { level: 3 })),
        ("gzip", Box::new(gzip::Gzip { level: 6 })),
        ("openssl-enc", Box::new(openssl_enc::OpensslEnc { key: key.to_owned() })),
        ("age", Box::new(age::Age { key: key.to_owned() })),
    ]
}

fn bytes(length: usize) -> Vec<u8> {
    (0..).map(|n: u32| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).take(length).collect()
}

fn applied(filter: &dyn Filter, plain: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    filter.apply(&mut Cursor::new(plain), &mut stored).unwrap();
    stored
}

fn undone(filter: &dyn Filter, stored: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    // Three bytes at a time, so that no block comes whole.
    filter.undo(&mut io::BufReader::with_capacity(3, stored), &mut plain).map(|()| plain)
}

#[test]
fn every_filter_gives_back_what_it_was_given_at_every_length() {
    for (name, filter) in filters("key") {
        // Each age stream costs a scrypt.
        let lengths = if name == "age" { &[0, 65_536, 300_000][..] } else { LENGTHS };
        for length in lengths {
            let plain = bytes(*length);
            let stored = applied(filter.as_ref(), &plain);
            assert!(undone(filter.as_ref(), &stored).unwrap() == plain, "{name}, {length} bytes");
        }
    }
}

#[test]
fn a_stream_that_is_cut_or_has_something_behind_it_is_noticed() {
    for (name, filter) in filters("key") {
        let stored = applied(filter.as_ref(), &bytes(70_000));
        for left in [0, 1, 16, stored.len() / 2 + 1, stored.len() - 1] {
            assert!(undone(filter.as_ref(), &stored[..left]).is_err(), "{name}, cut to {left}");
        }
        assert!(undone(filter.as_ref(), &[&stored[..], b"more"].concat()).is_err(), "{name}, longer");
    }
}

#[test]
fn several_gzip_members_are_one_stream() {
    let gzip = gzip::Gzip { level: 6 };
    let stored = [applied(&gzip, b"one "), applied(&gzip, b""), applied(&gzip, b"stream")].concat();
    assert_eq!(undone(&gzip, &stored).unwrap(), b"one stream");
}

/// Written by `openssl enc -aes256 -md md5 -pass pass:secret -S 0102030405060708`, the header put in front as versions
/// before 3 do by themselves.
#[test]
fn the_key_is_derived_as_openssl_does() {
    let filter = openssl_enc::OpensslEnc { key: "secret".to_owned() };
    let stored = hex::decode(OPENSSL_WROTE).unwrap();
    assert_eq!(undone(&filter, &stored).unwrap(), b"an old backup of the platform");
}

const OPENSSL_WROTE: &str = "53616c7465645f5f0102030405060708\
    ed39f4b2cc88d38d7813dea1536df6972322007ad4d0693cc8ef9e7d9a5b47cc";

fn encryption(scheme: EncryptionScheme, key: &str) -> Encryption {
    Encryption { scheme, key: key.to_owned(), key_id: "7".to_owned(), key_envelope: None }
}

fn chain(names: &[&str], scheme: EncryptionScheme) -> Result<Chain, String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Chain::recorded(&names, &encryption(scheme, "key")).map_err(|failure| match failure {
        Failure::Error(error) => format!("{}: {}", error.code, error.message),
        Failure::Cancelled => "cancelled".to_owned(),
    })
}

#[test]
fn any_compression_goes_with_any_encryption_and_other_lists_are_refused_with_the_reason() {
    use EncryptionScheme::{Age, OpensslEnc};
    for (names, scheme) in [
        (&["zstd", "age"][..], Age),
        (&["gzip", "age"], Age),
        (&["age"], Age),
        (&["gzip", "openssl-enc"], OpensslEnc),
        (&["zstd", "openssl-enc"], OpensslEnc),
        (&["zstd", "gzip", "age"], Age),
    ] {
        assert_eq!(chain(names, scheme).unwrap().names(), names);
    }
    for (names, scheme, reason) in [
        (&["zstd", "age"][..], OpensslEnc, "asked for is openssl-enc"),
        (&["gzip", "openssl-enc"], Age, "asked for is age"),
        (&["openssl-enc"], OpensslEnc, "needs a compression"),
        (&["zstd"], Age, "must be last"),
        (&["age", "zstd"], Age, "must be last"),
        (&["age", "age"], Age, "must be last"),
        (&["zstd", "rot13"], Age, "rot13 is unknown"),
        (&["lz4", "age"], Age, "lz4 is unknown"),
        (&["zstd", "zstd", "zstd", "zstd", "age"], Age, "too long"),
        (&[], Age, "empty"),
    ] {
        let refused = chain(names, scheme).err().unwrap_or_default();
        assert!(refused.starts_with("bad_request") && refused.contains(reason), "{names:?}: {refused}");
    }
}

#[test]
fn the_key_is_tried_on_the_first_bytes() {
    for (compression, scheme) in [
        (CompressionScheme::Zstd, EncryptionScheme::Age),
        (CompressionScheme::Gzip, EncryptionScheme::OpensslEnc),
        (CompressionScheme::Zstd, EncryptionScheme::OpensslEnc),
    ] {
        let of = |key| Chain::wanted(Compression { scheme: compression, level: 3 }, &encryption(scheme, key));
        let chain = of("key").unwrap();
        let stored = chain.filters().fold(bytes(50_000), |plain, filter| applied(filter.as_ref(), &plain));
        chain.check_key(&stored[..1024]).unwrap();
        for (key, head) in
            [("other", &stored[..1024]), ("key", &stored[..10]), ("key", &[]), ("key", &[7; 64])]
        {
            let Err(Failure::Error(error)) = of(key).unwrap().check_key(head) else { panic!("{scheme:?}") };
            assert_eq!(error.code, "decryption_failed");
            assert!(key == "key" || error.message.contains("the key 7 does not open"), "{}", error.message);
        }
    }
}
