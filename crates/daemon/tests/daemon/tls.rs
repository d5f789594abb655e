//! Certificates from files.

use backup_daemon::tls::{ClientAuthority, ServerCertificate};
use tempfile::TempDir;

fn files() -> TempDir {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    directory
}

#[test]
fn a_certificate_is_loaded_and_survives_unusable_new_files() {
    let directory = files();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let loaded = ServerCertificate::load(&certificate, &key).unwrap();
    let _ = loaded.server_config();
    std::fs::write(&key, "not a key").unwrap();
    assert!(loaded.reload().is_err());
    let other = files();
    std::fs::copy(other.path().join("key.pem"), &key).unwrap();
    assert!(loaded.reload().is_err(), "a key of another certificate is refused");
    std::fs::copy(other.path().join("cert.pem"), &certificate).unwrap();
    loaded.reload().unwrap();
}

#[test]
fn unusable_files_are_named() {
    let directory = files();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let error = ServerCertificate::load("/nowhere.pem".as_ref(), &key).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere.pem");
    let error = ServerCertificate::load(&key, &key).unwrap_err();
    assert!(error.to_string().ends_with("key.pem holds no certificate"), "{error}");
    let error = ServerCertificate::load(&certificate, &certificate).unwrap_err();
    assert!(error.to_string().starts_with("cannot read"), "{error}");
}

#[test]
fn authorities_of_clients_are_loaded_and_survive_an_unusable_new_file() {
    let directory = files();
    let path = directory.path().join("cert.pem");
    let clients = ClientAuthority::required(&path).unwrap();
    let server = ServerCertificate::load(&path, &directory.path().join("key.pem")).unwrap();
    let _ = server.server_config_for(&clients);
    std::fs::write(&path, "no certificate").unwrap();
    let error = clients.reload().unwrap_err();
    assert!(error.to_string().ends_with("cert.pem holds no certificate"), "{error}");
    let error = ClientAuthority::optional("/nowhere.pem".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere.pem");
}
