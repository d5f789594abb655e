//! Every path of the contract with its methods.

/// `{guid}` is an instance's GUID, `{id}` a number; `Open` needs no credentials.
pub(crate) const PATHS: &[(&str, &[&str])] = &[
    ("/instances", &["GET"]),
    ("/instances/{guid}", &["GET", "PUT"]),
    ("/instances/{guid}/config", &["GET"]),
    ("/instances/{guid}/backups", &["GET", "POST"]),
    ("/instances/{guid}/backups/{id}", &["GET", "DELETE"]),
    ("/instances/{guid}/backups/{id}/cancel", &["POST"]),
    ("/instances/{guid}/backups/{id}/download", &["GET"]),
    ("/instances/{guid}/backups/{id}/undelete", &["POST"]),
    ("/instances/{guid}/backups/{id}/restore", &["POST"]),
    ("/instances/{guid}/restores", &["GET"]),
    ("/instances/{guid}/restores/{id}", &["GET"]),
    ("/backup_agent/backup_all", &["POST"]),
    ("/backup_agent/backup", &["POST"]),
    ("/backup_agent/restores", &["POST"]),
    ("/v1/instances/{guid}/backups", &["GET", "POST"]),
    ("/v1/instances/{guid}/backups/{id}", &["GET", "DELETE"]),
    ("/v1/instances/{guid}/backups/{id}/cancel", &["POST"]),
    ("/v1/instances/{guid}/backups/{id}/download", &["GET"]),
    ("/v1/instances/{guid}/backups/{id}/undelete", &["POST"]),
    ("/v1/instances/{guid}/backups/{id}/restore", &["POST"]),
    ("/v1/instances/{guid}/restores", &["GET"]),
    ("/v1/instances/{guid}/restores/{id}", &["GET"]),
    ("/v1/instances/{guid}/disaster-recovery/prepare", &["POST"]),
    ("/service-instances/{guid}/backups", &["GET", "POST"]),
    ("/service-instances/{guid}/backups/restore", &["POST"]),
];

/// Needs no credentials.
pub(crate) const HEALTH: &str = "/v2/healthy";

/// The path with its names filled in.
pub(crate) fn filled(path: &str, guid: &str, id: &str) -> String {
    path.replace("{guid}", guid).replace("{id}", id)
}
