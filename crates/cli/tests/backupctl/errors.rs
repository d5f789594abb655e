//! What goes wrong, in words and exit codes.

use serde_json::json;

use crate::fake::{Answer, Fake, run};

#[test]
fn every_refusal_has_its_exit_code_and_a_next_step() {
    for (status, word, code, hint) in [
        (400, "BadRequest", 2, ""),
        (401, "Unauthorized", 4, "BACKUPCTL_PASSWORD"),
        (403, "Forbidden", 4, "may not"),
        (404, "NotFound", 3, "backupctl instances list"),
        (409, "RestoreInProgress", 4, "restores cancel"),
        (410, "Gone", 4, "--source-instance"),
        (422, "BackupNonRestorableState", 4, "undelete"),
        (423, "Locked", 4, "A restore uses"),
        (500, "Internal", 1, "log"),
        (503, "Unavailable", 69, "backupctl health"),
    ] {
        let answer = Answer::new(status, json!({"error": word, "description": "Said the manager."}));
        let fake = Fake::start(&[("GET /instances/g-1/backups", vec![answer])]);
        let ended = fake.run("backups list g-1");
        assert_eq!(ended.code, code, "{status}: {}", ended.err);
        assert!(ended.err.contains("Said the manager."), "{}", ended.err);
        assert!(ended.err.contains(hint), "{status}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
}

#[test]
fn an_absent_manager_is_69_and_a_page_of_something_else_is_not_believed() {
    let ended = run("http://127.0.0.1:1", "backups list g", &[("BACKUPCTL_PASSWORD", "s3cret")], "");
    assert_eq!(ended.code, 69);
    assert!(ended.err.contains("--url") && !ended.err.contains("s3cret"), "{}", ended.err);
    let fake = Fake::start(&[("GET /instances/g/backups", vec![Answer::new(200, "<html>")])]);
    let ended = fake.run("backups list g");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("not understood"), "{}", ended.err);
}

#[test]
fn health_needs_no_password_and_says_what_is_wrong() {
    let sick =
        Answer::new(503, json!({"error": "Unhealthy", "description": "No worker serves backup_all_job."}));
    let fake = Fake::start(&[("GET /v2/healthy", vec![Answer::new(200, json!({"status": "ok"})), sick])]);
    assert_eq!(run(&fake.url, "health", &[], "").code, 0);
    let ended = run(&fake.url, "health", &[], "");
    assert_eq!(ended.code, 69);
    assert!(ended.out.contains("No worker serves backup_all_job."), "{}", ended.out);
    assert!(!fake.requests()[0].headers.contains_key("authorization"));
    let absent = run("http://127.0.0.1:1", "health", &[], "");
    assert_eq!(absent.code, 69);
    assert!(absent.err.contains("--url") && !absent.err.contains("backupctl health"), "{}", absent.err);
}

#[test]
fn what_cannot_be_undeleted_is_not_said_to_be_gone() {
    let refused =
        Answer::new(409, json!({"error": "NotUndeletable", "description": "It cannot be undeleted."}));
    let fake = Fake::start(&[("POST /instances/g-1/backups/7/undelete", vec![refused])]);
    let ended = fake.run("backups undelete g-1 7");
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("only while it is marked `deleted`"), "{}", ended.err);
    assert!(!ended.err.contains("gone"), "{}", ended.err);
}

#[test]
fn plain_http_towards_a_tls_port_is_pointed_to_https() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // What a TLS server says to plain HTTP: a fatal alert.
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, &[0x15, 3, 3, 0, 2, 2, 50]);
        }
    });
    let ended = run(&url, "health", &[], "");
    assert_eq!(ended.code, 69);
    assert!(ended.err.contains("https://"), "{}", ended.err);
}

#[test]
fn a_url_that_is_none_is_told_before_a_password_is_asked_for() {
    let ended = run("foo", "instances list", &[], "");
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("must begin with http:// or https://"), "{}", ended.err);
}

#[test]
fn a_guid_that_would_leave_its_path_is_wrong_usage() {
    let fake = Fake::start(&[]);
    assert_eq!(fake.run("backups list ..").code, 2);
    assert!(fake.requests().is_empty());
    fake.run("backups list a/../b");
    assert_eq!(fake.requests()[0].line, "GET /instances/a%2F..%2Fb/backups");
}
