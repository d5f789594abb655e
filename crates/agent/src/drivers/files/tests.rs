//! What can only be seen from inside: files that change while they are read, and file systems without an exchange.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::place::Place;
use super::{pack, unpack};
use crate::session::Session;

/// Calls something once, when so many bytes have arrived.
struct Disturbing<F> {
    left: usize,
    disturb: F,
    taken: Vec<u8>,
}

impl<F: FnMut()> Write for Disturbing<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken.extend_from_slice(bytes);
        if self.left > 0 && self.taken.len() >= self.left {
            self.left = 0;
            (self.disturb)();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Packs a directory and disturbs it after the first 100,000 bytes.
fn pack_disturbed(directory: &Path, disturb: impl FnMut()) -> Result<Vec<u8>, String> {
    let mut out = Disturbing { left: 100_000, disturb, taken: Vec::new() };
    pack::pack(directory, &Session::default(), &mut out).map_err(|e| e.to_string())?;
    Ok(out.taken)
}

fn beside(parent: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(parent).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_is_truncated_or_grows_while_it_is_read_fails_the_backup() {
    for length in [50_000_u64, 600_000] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), vec![7_u8; 500_000]).unwrap();
        let file = File::options().write(true).open(directory.path().join("file")).unwrap();
        let error = pack_disturbed(directory.path(), || file.set_len(length).unwrap()).unwrap_err();
        assert!(error.contains("while it was read"), "{error}");
    }
}

#[test]
fn what_is_removed_before_it_is_read_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a"), vec![7_u8; 500_000]).unwrap();
    fs::write(path("b"), "gone").unwrap();
    fs::create_dir(path("c")).unwrap();
    fs::write(path("c/inside"), "gone").unwrap();
    fs::write(path("d"), "stays").unwrap();
    let archive = pack_disturbed(directory.path(), || {
        fs::remove_file(path("b")).unwrap();
        fs::remove_dir_all(path("c")).unwrap();
    });
    let archive = archive.unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let names: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, ["./", "a", "d"].map(PathBuf::from));
}

#[test]
fn files_that_are_replaced_all_the_time_never_fail_a_backup_and_are_stored_whole() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, spare) = (parent.path().join("data"), parent.path().join("spare"));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("file"), vec![b'x'; 5000]).unwrap();
    let (ended, replaced) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for letter in (b'a'..=b'z').cycle().take_while(|_| !ended.load(Ordering::Relaxed)) {
                fs::write(&spare, vec![letter; 5000]).unwrap();
                fs::rename(&spare, directory.join("file")).unwrap();
                replaced.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut backups = 0;
        while backups < 500 || replaced.load(Ordering::Relaxed) < 500 {
            let packed = pack_disturbed(&directory, || {});
            if packed.is_err() {
                ended.store(true, Ordering::Relaxed);
            }
            let packed = packed.unwrap();
            let mut archive = tar::Archive::new(packed.as_slice());
            let mut entry = archive.entries().unwrap().nth(1).unwrap().unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            backups += 1;
            if content.len() != 5000 || content.iter().any(|letter| *letter != content[0]) {
                ended.store(true, Ordering::Relaxed);
                panic!("{} bytes: {content:?}", content.len());
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
}

#[test]
fn times_are_kept_to_the_nanosecond_by_the_agent_and_by_tar() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, by_agent, by_tar) =
        (parent.path().join("data"), parent.path().join("agent"), parent.path().join("tar"));
    [&directory, &by_agent, &by_tar].into_iter().for_each(|path| fs::create_dir(path).unwrap());
    fs::create_dir(directory.join("folder")).unwrap();
    fs::write(directory.join("file"), "text").unwrap();
    symlink("file", directory.join("link")).unwrap();
    let sparse = File::create(directory.join("sparse")).unwrap();
    sparse.set_len(1_000_000).unwrap();
    sparse.write_all_at(b"island", 500_000).unwrap();
    for (name, time) in [
        ("file", "1969-12-31 23:59:58.25 UTC"),
        ("folder", "2001-09-09 01:46:40.123456789 UTC"),
        ("link", "2001-09-09 01:46:40.987654321 UTC"),
        ("sparse", "2001-09-09 01:46:40.000000001 UTC"),
    ] {
        let mut touch = Command::new("touch");
        assert!(touch.args(["-h", "-d", time]).arg(directory.join(name)).status().unwrap().success());
    }
    let archive = pack_disturbed(&directory, || {}).unwrap();
    unpack::unpack(&by_agent, &Session::default(), &mut archive.as_slice()).unwrap();
    fs::write(parent.path().join("archive"), &archive).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(parent.path().join("archive")).arg("-C").arg(&by_tar);
    assert!(tar.status().unwrap().success());
    for name in ["file", "folder", "link", "sparse", "."] {
        let time = |place: &Path| {
            let found = fs::symlink_metadata(place.join(name)).unwrap();
            (found.mtime(), found.mtime_nsec())
        };
        assert_eq!(time(&by_agent), time(&directory), "{name}");
        assert_eq!(time(&by_tar), time(&directory), "{name} by tar");
    }
}

#[test]
fn a_sparse_file_that_changes_in_any_way_fails_the_backup() {
    let changes: [&dyn Fn(&File); 3] = [
        // Shorter and as long as before: the size alone would not tell.
        &|file| file.set_len(50_000).and_then(|()| file.set_len(8_000_000)).unwrap(),
        &|file| file.set_len(50_000).unwrap(),
        &|file| file.write_all_at(b"island", 4_000_000).unwrap(),
    ];
    for change in changes {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("sparse")).unwrap();
        file.write_all_at(&vec![7_u8; 500_000], 0).unwrap();
        file.set_len(8_000_000).unwrap();
        file.sync_all().unwrap();
        // Times of files are no finer than the kernel's tick.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let error = pack_disturbed(directory.path(), || change(&file)).unwrap_err();
        assert!(error.contains("while it was read"), "{error}");
    }
}

#[test]
fn a_file_without_blocks_is_read_and_not_taken_for_a_hole() {
    let directory = tempfile::tempdir().unwrap();
    let file = File::create(directory.path().join("blockless")).unwrap();
    file.set_len(300_000).unwrap();
    assert_eq!(file.metadata().unwrap().blocks(), 0);
    let archive = pack_disturbed(directory.path(), || {}).unwrap();
    assert!(archive.len() > 300_000);
    let mut archive = tar::Archive::new(archive.as_slice());
    let kinds: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().header().entry_type()).collect();
    assert_eq!(kinds, [tar::EntryType::Directory, tar::EntryType::Regular]);
}

#[test]
fn only_a_directory_is_packed() {
    let parent = tempfile::tempdir().unwrap();
    let (real, link, file) =
        (parent.path().join("real"), parent.path().join("link"), parent.path().join("file"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    fs::write(&file, "").unwrap();
    for path in [&link, &file] {
        assert!(pack_disturbed(path, || {}).unwrap_err().contains("is not a directory"));
    }
    pack_disturbed(&real, || {}).unwrap();
}

#[test]
fn only_a_directory_is_accepted_as_the_root_of_an_archive() {
    for kind in [tar::EntryType::Symlink, tar::EntryType::Regular, tar::EntryType::Fifo] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..2].copy_from_slice(b"./");
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        if kind == tar::EntryType::Symlink {
            header.set_link_name_literal("/etc").unwrap();
        }
        header.set_cksum();
        tar.append(&header, io::empty()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let archive = tar.into_inner().unwrap();
        let error = unpack::unpack(target.path(), &Session::default(), &mut archive.as_slice()).unwrap_err();
        assert!(error.to_string().contains("is not a directory"), "{kind:?}: {error}");
    }
}

#[test]
fn a_link_is_followed_once_and_what_cannot_be_replaced_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let parent = parent.path().canonicalize().unwrap();
    let path = |name: &str| parent.join(name);
    fs::create_dir(path("real")).unwrap();
    symlink("real", path("link")).unwrap();
    symlink("gone", path("dangling")).unwrap();
    fs::write(path("file"), "").unwrap();
    let parsed = |name: &Path| Place::parse(name).map(|place| place.directory().to_owned());
    for (name, directory) in [("real", "real"), ("link", "real"), ("dangling", "gone"), ("absent", "absent")]
    {
        assert_eq!(parsed(&path(name)).unwrap(), path(directory));
    }
    let refused = [
        (path("file"), "is not a directory"),
        (PathBuf::from("/proc"), "is a mount point"),
        (PathBuf::from("/"), "is not below the root"),
        (PathBuf::from("relative"), "is not an absolute path"),
        (path("no/such"), "could not find"),
    ];
    for (path, reason) in refused {
        let error = parsed(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

/// A place whose directory holds `old` and a fresh one beside it that holds `new`.
fn exchangeable(parent: &Path) -> (Place, PathBuf) {
    fs::create_dir(parent.join("data")).unwrap();
    fs::write(parent.join("data/old"), "").unwrap();
    let place = Place::parse(&parent.join("data")).unwrap();
    let fresh = place.prepare("r").unwrap();
    fs::write(fresh.join("new"), "").unwrap();
    (place, fresh)
}

#[test]
fn without_an_atomic_exchange_the_directory_is_replaced_in_steps() {
    let parent = tempfile::tempdir().unwrap();
    let (place, fresh) = exchangeable(parent.path());
    place.exchange_in_steps(&fresh).unwrap();
    assert_eq!(beside(parent.path()), ["data"]);
    assert_eq!(beside(&parent.path().join("data")), ["new"]);
}

#[test]
fn a_failed_second_step_puts_the_old_directory_back() {
    let parent = tempfile::tempdir().unwrap();
    let (place, fresh) = exchangeable(parent.path());
    fs::remove_dir_all(&fresh).unwrap();
    place.exchange_in_steps(&fresh).unwrap_err();
    assert_eq!(beside(parent.path()), ["data"]);
    assert_eq!(beside(&parent.path().join("data")), ["old"]);
}

#[test]
fn recovery_deletes_what_was_replaced_but_never_one_of_two_that_may_be_the_data() {
    let parent = tempfile::tempdir().unwrap();
    let (place, fresh) = exchangeable(parent.path());
    let aside = parent.path().join(".data.backup-agent-set aside");
    // The agent died between the renames, and the data service made itself a new directory.
    fs::rename(parent.path().join("data"), &aside).unwrap();
    fs::create_dir(parent.path().join("data")).unwrap();
    let error = place.recover().unwrap_err().to_string();
    assert!(error.contains("move the other away") && error.contains("set aside"), "{error}");
    place.prepare("another").unwrap_err();
    assert_eq!((beside(&aside), beside(&fresh)), (vec!["old".to_owned()], vec!["new".to_owned()]));
    // The operator decides.
    fs::remove_dir(parent.path().join("data")).unwrap();
    fs::create_dir(parent.path().join(".data.backup-agent-was replaced")).unwrap();
    place.recover().unwrap();
    assert_eq!(beside(parent.path()), ["data"]);
    assert_eq!(beside(&parent.path().join("data")), ["old"]);
}
