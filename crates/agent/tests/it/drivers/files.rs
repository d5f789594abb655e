//! A directory of files comes back as it was.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use backup_protocol::OperationState;

use crate::harness::{Agent, Process, Site, forge};

#[tokio::test(flavor = "multi_thread")]
async fn content_modes_links_times_and_holes_survive_a_round_trip() {
    let site = Site::files();
    let data = site.data();
    site.write("plain.txt", "text");
    site.write("empty", "");
    site.write("Überfüße/naïve ☃.txt", "snow");
    site.write(&format!("long/{}/{}", "d".repeat(150), "f".repeat(150)), "long");
    fs::set_permissions(data.join("plain.txt"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::hard_link(data.join("plain.txt"), data.join("zz-second-name")).unwrap();
    symlink("./plain.txt", data.join("link")).unwrap();
    symlink("/does/not/exist", data.join("dangling")).unwrap();
    symlink(format!("/{}", "x".repeat(200)), data.join("long-link")).unwrap();
    nix::unistd::mkfifo(&data.join("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap();
    let sparse = fs::File::create(data.join("sparse")).unwrap();
    sparse.set_len(64 * 1024 * 1024).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"island", 33_000_000).unwrap();
    fs::create_dir(data.join("closed")).unwrap();
    site.write("closed/inside", "hidden");
    fs::set_permissions(data.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for name in ["plain.txt", "closed"] {
        fs::File::open(data.join(name)).unwrap().set_modified(then).unwrap();
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();

    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    assert!(backup.bytes_read < 1024 * 1024, "holes must not be read: {}", backup.bytes_read);
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    site.write("made-later", "gone after the restore");
    agent.restore("r", &backup).await;

    let read = |name: &str| fs::read_to_string(data.join(name)).unwrap();
    let meta = |name: &str| fs::symlink_metadata(data.join(name)).unwrap();
    assert_eq!((read("plain.txt").as_str(), read("empty").as_str()), ("text", ""));
    assert_eq!(read("Überfüße/naïve ☃.txt"), "snow");
    assert_eq!(read(&format!("long/{}/{}", "d".repeat(150), "f".repeat(150))), "long");
    assert_eq!(meta("plain.txt").mode() & 0o7777, 0o4750);
    assert_eq!(meta("plain.txt").ino(), meta("zz-second-name").ino());
    assert_eq!(fs::read_link(data.join("link")).unwrap().to_str(), Some("./plain.txt"));
    assert_eq!(fs::read_link(data.join("dangling")).unwrap().to_str(), Some("/does/not/exist"));
    assert_eq!(fs::read_link(data.join("long-link")).unwrap().as_os_str().len(), 201);
    assert!(meta("pipe").file_type().is_fifo());
    assert_eq!(meta("pipe").mode() & 0o7777, 0o640);
    assert!(!data.join("socket").exists());
    let holes = fs::read(data.join("sparse")).unwrap();
    assert_eq!((holes.len(), &holes[33_000_000..33_000_006]), (64 * 1024 * 1024, b"island".as_slice()));
    assert!(meta("sparse").blocks() < 2000, "holes must stay holes");
    assert_eq!((meta("closed").mode() & 0o7777, read("closed/inside").as_str()), (0o500, "hidden"));
    assert_eq!((meta("plain.txt").modified().unwrap(), meta("closed").modified().unwrap()), (then, then));
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o750);
    assert!(!data.join("made-later").exists());
    let beside = fs::read_dir(data.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 3, "nothing stays beside the directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_owners_odd_names_and_times_of_links_survive_a_round_trip() {
    let site = Site::files();
    let data = site.data();
    let odd = data.join(std::ffi::OsStr::from_bytes(b"not \xff text\n"));
    fs::write(&odd, "odd").unwrap();
    site.write("listed", "");
    site.write("folder/inside", "");
    symlink("listed", data.join("link")).unwrap();
    let touched = std::process::Command::new("touch")
        .args(["-h", "-d", "@1000000000.987654321"])
        .arg(data.join("link"))
        .status();
    assert!(touched.unwrap().success());
    // An access list: the owner, user 10 (a line end in its binary form), the group, the mask, the others.
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 4, 10), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend([tag.to_le_bytes(), rights.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    let mut wanted = vec![
        ("listed", "user.plain", b"value".to_vec()),
        ("listed", "user.binary", b"\0one\ntwo=\xff".to_vec()),
        ("listed", "user.empty", Vec::new()),
        ("folder", "user.of.folder", b"x".to_vec()),
        ("listed", "system.posix_acl_access", list.clone()),
        ("folder", "system.posix_acl_default", list),
    ];
    if nix::unistd::Uid::effective().is_root() {
        // cap_net_bind_service, effective and permitted.
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
        wanted.push(("listed", "security.capability", capability));
        std::os::unix::fs::lchown(data.join("link"), Some(12), Some(34)).unwrap();
        std::os::unix::fs::chown(data.join("listed"), Some(56), Some(78)).unwrap();
    }
    for (file, name, value) in &wanted {
        xattr::set(data.join(file), name, value).unwrap();
    }
    let look = |name: &str| {
        let found = fs::symlink_metadata(data.join(name)).unwrap();
        (found.uid(), found.gid(), found.mode(), (found.mtime(), found.mtime_nsec()))
    };
    let before = (look("link"), look("listed"), look("folder"));

    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    fs::remove_dir_all(&data).unwrap();
    agent.restore("r", &backup).await;

    assert_eq!((look("link"), look("listed"), look("folder")), before);
    assert_eq!(look("link").3, (1_000_000_000, 987_654_321));
    assert_eq!(fs::read_to_string(&odd).unwrap(), "odd");
    for (file, name, value) in &wanted {
        assert_eq!(xattr::get(data.join(file), name).unwrap().as_ref(), Some(value), "{file}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_behind_a_symbolic_link_is_backed_up_and_the_link_stays() {
    let site = Site::files();
    let real = site.path("real");
    fs::rename(site.data(), &real).unwrap();
    symlink("real", site.data()).unwrap();
    site.write("kept", "kept");
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    fs::write(real.join("kept"), "changed").unwrap();
    site.write("made-later", "");
    agent.restore("r", &backup).await;
    assert_eq!(fs::read_link(site.data()).unwrap().to_str(), Some("real"));
    assert_eq!(fs::read_to_string(real.join("kept")).unwrap(), "kept");
    assert_eq!(fs::read_dir(&real).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_point_is_refused_when_the_agent_starts() {
    let driver = serde_json::json!({"files": {"directory": "/proc"}});
    let site = Site::with_driver(driver);
    let refused = backup_agent::serve(serde_json::from_value(site.config.clone()).unwrap()).await;
    let error = format!("{:?}", refused.err().unwrap());
    assert!(error.contains("/proc is a mount point"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_gone_is_a_data_service_error() {
    let site = Site::files();
    fs::remove_dir(site.data()).unwrap();
    let agent = Agent::start(&site).await;
    let failed = agent.backup_with("b", serde_json::json!({})).await;
    assert_eq!(
        (failed.state, failed.error.unwrap().code.as_str()),
        (OperationState::Failed, "data_service_error")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a test that tests nothing must say so")]
async fn a_directory_or_file_the_agent_may_not_read_fails_the_backup_as_denied() {
    let site = Site::files();
    site.write("folder/inside", "text");
    site.write("file", "text");
    let Some(agent) = Process::start_without_rights(&site).await else {
        eprintln!("SKIPPED: rights are not tested, because root cannot be deprived of its own here");
        return;
    };
    agent.backup("b").await;
    let stored = site.stored();
    for name in ["data", "data/folder", "data/file"] {
        let path = site.path(name);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
        let id = name.replace('/', "-");
        let failed = agent.backup_with(&id, serde_json::json!({})).await;
        fs::set_permissions(&path, before).unwrap();
        let error = failed.error.unwrap();
        assert_eq!(
            (failed.state, error.code.as_str()),
            (OperationState::Failed, "data_service_access_denied"),
            "{name}: {}",
            error.message
        );
        assert!(error.message.contains(path.to_str().unwrap()), "{}", error.message);
        assert_eq!(site.stored(), stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_killed_restore_are_removed_at_the_start() {
    let site = Site::files();
    site.write("kept", "kept");
    let leftover = site.path(".data.backup-agent-r1");
    fs::create_dir_all(leftover.join("partial")).unwrap();
    let _agent = Agent::start(&site).await;
    assert!(!leftover.exists());
    assert!(site.data().join("kept").exists());

    let site = Site::files();
    fs::rename(site.data(), site.path(".data.backup-agent-set aside")).unwrap();
    let _agent = Agent::start(&site).await;
    assert!(site.data().exists(), "a directory without its replacement is put back");
}

fn entry(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, link: Option<&str>) {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(0);
    if let Some(link) = link {
        header.set_link_name_literal(link).unwrap();
    }
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_leads_out_of_the_directory_is_refused() {
    use tar::EntryType::{Directory, Fifo, Link, Regular, Symlink};
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("target"), "untouched").unwrap();
    let out = outside.path().to_str().unwrap();
    let escape = format!("{out}/target");
    let attacks: [&[(tar::EntryType, &str, Option<&str>)]; 5] = [
        &[(Regular, "../evil", None)],
        &[(Regular, "a/../../evil", None)],
        &[(Symlink, "way", Some(out)), (Regular, "way/evil", None)],
        &[(Symlink, "way", Some(out)), (Fifo, "way/evil", None)],
        &[(Link, "hard", Some(&escape))],
    ];
    for attack in attacks {
        let site = Site::files();
        site.write("kept", "kept");
        let mut tar = tar::Builder::new(Vec::new());
        entry(&mut tar, Directory, "./", None);
        for (kind, path, link) in attack {
            entry(&mut tar, *kind, path, *link);
        }
        let backup = forge(&site, "files", 1, &tar.into_inner().unwrap());
        let agent = Agent::start(&site).await;
        let restore = agent.restore_with("r", &backup, serde_json::json!({})).await;
        assert_eq!(restore.state, OperationState::Failed, "{attack:?}");
        assert!(site.data().join("kept").exists(), "{attack:?}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "{attack:?}");
        assert!(!site.path("evil").exists());
    }
}
