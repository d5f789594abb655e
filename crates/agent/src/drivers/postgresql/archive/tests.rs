//! Tables of contents written here, a real one, and both damaged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Command;

use private_postgres::Server;
use proptest::prelude::*;

use super::*;

/// Writes a table of contents as `pg_dump` does.
struct Writer {
    minor: u8,
    integer: usize,
    bytes: Vec<u8>,
}

impl Writer {
    fn begin(minor: u8, integer: u8) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, minor, 0, integer, 8, CUSTOM]);
        let mut writer = Self { minor, integer: integer.into(), bytes };
        if minor >= 15 {
            writer.bytes.push(0);
        } else {
            writer.number(0);
        }
        (0..7).for_each(|part| writer.number(part));
        [Some("shop"), Some("15.18"), None].into_iter().for_each(|text| writer.text(text));
        writer
    }

    fn number(&mut self, number: i64) {
        self.bytes.push(u8::from(number < 0));
        self.bytes.extend(&number.unsigned_abs().to_le_bytes()[..self.integer]);
    }

    fn text(&mut self, text: Option<&str>) {
        self.number(text.map_or(-1, |text| i64::try_from(text.len()).unwrap()));
        self.bytes.extend(text.unwrap_or_default().as_bytes());
    }

    fn entry(&mut self, entry: &Entry) {
        self.number(entry.id.into());
        self.number(1);
        [Some("1259"), Some("16400"), Some(entry.name.as_str()), Some(entry.kind.as_str())]
            .into_iter()
            .for_each(|text| self.text(text));
        self.number(match entry.section {
            Section::Session | Section::PreData => 2,
            Section::Data => 3,
            Section::PostData => 4,
        });
        [Some("CREATE …"), Some(""), None].into_iter().for_each(|text| self.text(text));
        self.text(Some(entry.schema.as_deref().unwrap_or_default()));
        self.text(entry.tablespace.as_deref());
        if self.minor >= 14 {
            self.text(Some("heap"));
        }
        if self.minor >= 16 {
            self.number(114);
        }
        self.text(Some(&entry.owner));
        self.text(Some("false"));
        for needed in &entry.needs {
            self.text(Some(&needed.to_string()));
        }
        self.text(None);
        self.bytes.extend([0; 9]);
    }

    fn whole(minor: u8, integer: u8, entries: &[Entry]) -> Vec<u8> {
        let mut writer = Self::begin(minor, integer);
        writer.number(i64::try_from(entries.len()).unwrap());
        entries.iter().for_each(|entry| writer.entry(entry));
        writer.bytes
    }
}

fn examples() -> Vec<Entry> {
    let entry = |id, kind: &str, name: &str, owner: &str, section| Entry {
        id,
        kind: kind.to_owned(),
        name: name.to_owned(),
        schema: None,
        tablespace: None,
        owner: owner.to_owned(),
        section,
        needs: Vec::new(),
    };
    let schema = Some("Größe \"1\"\n".to_owned());
    vec![
        entry(1, "ENCODING", "ENCODING", "", Section::Session),
        Entry { schema: schema.clone(), ..entry(7, "TABLE", "t", "mallory", Section::PreData) },
        Entry { schema, needs: vec![7], ..entry(8, "TABLE DATA", "t", "mallory", Section::Data) },
        Entry {
            tablespace: Some("fast".to_owned()),
            needs: vec![7, 8],
            ..entry(9, "INDEX", "i", "alice", Section::PostData)
        },
    ]
}

#[test]
fn every_known_form_is_read_and_its_beginning_waited_for() {
    let entries = examples();
    for minor in KNOWN {
        for integer in [1, 4, 8] {
            let mut bytes = Writer::whole(minor, integer, &entries);
            for length in 0..bytes.len() {
                assert_eq!(contents(&bytes[..length]).unwrap(), None, "1.{minor}, {length} bytes");
            }
            bytes.extend(b"data that is not read");
            assert_eq!(contents(bytes.as_slice()).unwrap().as_ref(), Some(&entries), "1.{minor}, {integer}");
        }
    }
}

#[test]
fn what_is_no_archive_of_a_known_form_is_refused() {
    let good = Writer::whole(14, 4, &examples());
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let ending = |end: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::begin(14, 4);
        end(&mut writer);
        writer.bytes
    };
    let refused = [
        ("another beginning", changed(0, b'p'), "custom format"),
        ("the form of tar", changed(10, 3), "custom format"),
        ("an earlier form", changed(6, 11), "1.11 are not known"),
        ("a later form", changed(6, 17), "1.17 are not known"),
        ("another generation", changed(5, 2), "2.14 are not known"),
        ("numbers of no bytes", changed(8, 0), "not known"),
        ("numbers of too many bytes", changed(8, 9), "not known"),
        ("fewer entries than none", ending(&|writer| writer.number(-1)), "number of entries"),
        (
            "an entry without a number",
            ending(&|writer| {
                writer.number(1);
                writer.number(-5);
            }),
            "has no number",
        ),
        (
            "an endless text",
            ending(&|writer| {
                writer.number(1);
                writer.number(1);
                writer.number(0);
                writer.number(i64::from(i32::MAX));
            }),
            "too long",
        ),
    ];
    for (name, bytes, words) in refused {
        let error = contents(bytes.as_slice()).unwrap_err();
        assert!(matches!(error, DriverError::Content(_)), "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

/// What is kept of a source is never much more than the source.
fn is_bounded(bytes: &[u8]) -> bool {
    let Ok(Some(entries)) = contents(bytes) else { return true };
    let kept = |entry: &Entry| {
        let texts = [&entry.kind, &entry.name, &entry.owner];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        texts + entry.schema.as_ref().map_or(0, String::len) + entry.tablespace.as_ref().map_or(0, String::len)
    };
    // A byte that is no text becomes a character of three.
    entries.len() <= bytes.len() && entries.iter().map(kept).sum::<usize>() <= 3 * bytes.len()
}

proptest! {
    #[test]
    fn garbage_behind_a_good_head_is_survived(minor in KNOWN, integer in 1_u8..=8, tail: Vec<u8>) {
        let mut bytes = Writer::begin(minor, integer).bytes;
        bytes.extend(tail);
        prop_assert!(is_bounded(&bytes));
    }

    #[test]
    fn garbage_is_survived(bytes: Vec<u8>) {
        prop_assert!(is_bounded(&bytes));
    }
}

const OBJECTS: &str = "CREATE ROLE app; CREATE TABLE t (k int PRIMARY KEY, v text DEFAULT 'x'); CREATE VIEW v AS TABLE t;
    CREATE TABLE other (k int REFERENCES t); ALTER TABLE t OWNER TO app; CREATE INDEX ON t (v); COMMENT ON TABLE t IS 'c';
    CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT lo_create(4711); INSERT INTO t VALUES (1)";

#[test]
fn a_real_table_of_contents_is_read_as_pg_restore_reads_it_and_survives_damage() {
    let server = Server::start().unwrap();
    server.psql("postgres", OBJECTS).unwrap();
    let dumped = server.client("pg_dump", "postgres").arg("--format=custom").output().unwrap();
    assert!(dumped.status.success());
    let dump = dumped.stdout;
    let mut rest = dump.as_slice();
    let entries = contents(&mut rest).unwrap().unwrap();
    let length = dump.len() - rest.len();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dump");
    std::fs::write(&file, &dump).unwrap();
    let listed = Command::new(server.bin_directory().join("pg_restore")).args(["--list", "--create"]).arg(file).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut numbers: Vec<u32> =
        listed.lines().filter_map(|line| line.split_once(';')?.0.parse().ok()).collect();
    let mut read: Vec<u32> =
        entries.iter().filter(|e| e.section != Section::Session).map(|entry| entry.id).collect();
    numbers.sort_unstable();
    read.sort_unstable();
    assert_eq!(read, numbers);
    let table = entries.iter().find(|entry| entry.kind == "TABLE" && entry.name == "t").unwrap();
    assert_eq!((table.owner.as_str(), table.schema.as_deref()), ("app", Some("public")));
    let rows = entries.iter().find(|entry| entry.kind == "TABLE DATA" && entry.name == "t").unwrap();
    assert_eq!((rows.section, rows.needs.as_slice()), (Section::Data, [table.id].as_slice()));

    for end in 0..length {
        assert_eq!(contents(&dump[..end]).unwrap(), None, "{end} of {length} bytes");
    }
    let mut runner = proptest::test_runner::TestRunner::default();
    let flips = proptest::collection::vec((0..length, 0..8_u32), 1..4);
    let damaged = runner.run(&flips, |flips| {
        let mut damaged = dump.clone();
        for (at, bit) in flips {
            damaged[at] ^= 1 << bit;
        }
        prop_assert!(is_bounded(&damaged));
        Ok(())
    });
    damaged.unwrap();
}
