//! The last words: what to try next, or where it went wrong.

use std::path::PathBuf;

use local_installation::{Daemon, write_private};

use super::Options;
use super::stage::{INSTANCE, Stage};

/// After success.
pub(super) fn conclude(options: &Options) {
    println!(
        "\nEverything is equal: all databases, roles, rows, sequences, definitions, large objects and grants."
    );
    if !options.keep {
        println!(
            "\nWhat to try next:\n    cargo xtask demo --keep            leaves it running and tells you how to play with it\n    \
             cargo xtask demo --chaos agent     kills the agent in the middle of the backup (also: worker, api)\n    \
             cargo xtask test                   runs everything that must be green"
        );
    }
}

/// With `--keep`: where everything is, and what to type.
pub(super) fn explain_kept(stage: &Stage) {
    let installation = &stage.installation;
    let programs =
        std::env::current_exe().ok().and_then(|path| path.parent().map(PathBuf::from)).unwrap_or_default();
    let password_file = installation.directory().join("password");
    if let Err(error) = write_private(&password_file, installation.password()) {
        crate::run::complain(&error);
    }
    let ctl = programs.join("backupctl");
    let (ctl, password_file) = (ctl.display(), password_file.display());
    let authority = installation.certificates().authority.display();
    println!(
        "\nStill running, until Ctrl-C:
    API                   {http}   and   {https} (certificate authority: {authority})
    user, password        {user}   {password}
    service instance      {INSTANCE}
    its PostgreSQL        {instance}
    manager's PostgreSQL  {manager}
    configuration, logs   {directory}

Try in another terminal:
    export BACKUPCTL_URL={https} BACKUPCTL_CA_FILE={authority} BACKUPCTL_PASSWORD_FILE={password_file}
    {ctl} instances list
    {ctl} backups create {INSTANCE} --wait
    {ctl} backups list {INSTANCE}
    {ctl} restores create {INSTANCE} 1 --wait
    {ctl} queues
    {ctl} retention --dry-run
    curl -u {user}:{password} {http}/instances/{INSTANCE}/backups
    psql {instance} -c 'SELECT count(*) FROM events'",
        http = installation.http_url(),
        https = installation.https_url(),
        user = installation.user(),
        password = installation.password(),
        instance = stage.instance.url("shop"),
        manager = stage.manager_database.url("backup_manager"),
        directory = installation.directory().display(),
    );
}

/// After a failure: the last lines of the logs of what has ended or complained, and a copy of all logs that stays.
pub(super) fn show_logs(stage: &mut Stage) {
    let kept = std::env::temp_dir().join(format!("backup-manager-demo-logs.{}", std::process::id()));
    let copied = std::fs::create_dir_all(&kept).and_then(|()| {
        for daemon in stage.installation.daemons() {
            std::fs::copy(daemon.log_file(), kept.join(format!("{}.log", daemon.name())))?;
        }
        std::fs::copy(stage.instance.log_file(), kept.join("postgresql-instance.log"))?;
        std::fs::copy(stage.manager_database.log_file(), kept.join("postgresql-manager.log"))
    });
    for daemon in stage.installation.daemons() {
        let lines = telling_lines(daemon);
        if !lines.is_empty() {
            println!("\n--- {} ---\n{lines}", daemon.name());
        }
    }
    match copied {
        Ok(_) => println!("\nAll logs are kept in {}", kept.display()),
        Err(error) => println!("\nNot all logs could be kept in {}: {error}", kept.display()),
    }
}

/// The last warnings and errors of a log.
fn telling_lines(daemon: &Daemon) -> String {
    let log = daemon.log();
    let telling: Vec<&str> =
        log.lines().filter(|line| !line.contains(" INFO ") && !line.contains(" DEBUG ")).collect();
    telling.iter().skip(telling.len().saturating_sub(12)).copied().collect::<Vec<_>>().join("\n")
}
