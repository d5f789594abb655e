//! A directory: the agent's driver for files, `tar | zstd | age`, and restic.

use std::time::Duration;

use serde_json::json;

use super::agent_process::Agent;
use super::measure::script;
use super::{Options, Series, Subjects, data, shell, tell};

/// Measures all rounds.
///
/// # Errors
/// When something fails.
pub(super) fn measure(options: &Options) -> anyhow::Result<Subjects> {
    let folder = tempfile::Builder::new().prefix("bench-agent-").tempdir_in(&options.workspace)?;
    let root = folder.path();
    let small = small(options, root)?;
    let data = root.join("data");
    tell(&format!("a directory of {} MiB", options.mebibytes));
    let files = data::fill(&data, options.mebibytes)?;
    let recipient = shell::make_identity(root)?;
    std::fs::write(root.join("restic-password"), "bench")?;
    let restic = vec![
        ("RESTIC_PASSWORD_FILE", root.join("restic-password").display().to_string()),
        ("RESTIC_REPOSITORY", root.join("restic").display().to_string()),
        ("RESTIC_CACHE_DIR", root.join("restic-cache").display().to_string()),
        ("RESTIC_PROGRESS_FPS", "0.01".to_owned()),
    ];
    let (mut ours, mut by_hand, mut by_restic) = (Series::default(), Series::default(), Series::default());
    let mut bytes = 0;
    for round in 1..=options.rounds {
        tell(&format!("round {round}: the agent"));
        shell::settle();
        let agent = Agent::start(&root.join("agent"), &json!({"files": {"directory": data}}))?;
        let (cost, backup) = agent.back_up("backup")?;
        ours.backup.push(cost);
        bytes = Agent::plain_bytes(&backup);
        wait_for_inodes();
        ours.restore.push(agent.restore("restore", &backup)?);
        drop(agent);
        shell::remove(&root.join("agent"))?;

        tell(&format!("round {round}: tar | zstd | age"));
        shell::settle();
        let backup =
            format!("tar -C data -cf - . | zstd -3 -q | age -r {recipient} > by-hand && sync by-hand");
        by_hand.backup.push(script(&backup, root, &[])?);
        wait_for_inodes();
        let restore = format!(
            "mkdir restored && age -d -i identity.txt by-hand | zstd -d -q | tar -C restored -xpf - && sync -f restored; {}",
            replace("restored")
        );
        by_hand.restore.push(script(&restore, root, &[])?);
        shell::remove(&root.join("by-hand"))?;

        tell(&format!("round {round}: restic"));
        script("restic init -q", root, &restic)?;
        shell::settle();
        by_restic.backup.push(script("restic backup -q data && sync -f restic", root, &restic)?);
        wait_for_inodes();
        let restore = format!(
            "restic restore -q latest --target restored && sync -f restored; {}",
            replace("restored/data")
        );
        by_restic.restore.push(script(&restore, root, &restic)?);
        for name in ["restored", "restic", "restic-cache"] {
            shell::remove(&root.join(name))?;
        }
    }
    Ok(Subjects {
        name: "Directory",
        data: format!(
            "{files} files of 4 KiB to 64 MiB, {} MiB in all, compressible to about a half",
            options.mebibytes
        ),
        bytes,
        ways: vec![
            ("agent, driver `files`", ours),
            ("`tar \\| zstd -3 \\| age`", by_hand),
            ("`restic`", by_restic),
        ],
        small,
    })
}

/// Puts what was restored in the place of what is there, durably, as the agent does.
fn replace(restored: &str) -> String {
    format!("mv data old; mv {restored} data; sync data/..; rm -r old")
}

/// ext4 does not use an inode again within a minute after it was freed, and passes over all of these one by one whenever a
/// file is created. Nobody restores in the minute after such a removal.
fn wait_for_inodes() {
    shell::settle();
    std::thread::sleep(Duration::from_secs(61));
}

/// The agent's peaks of memory for little data.
fn small(options: &Options, root: &std::path::Path) -> anyhow::Result<(f64, f64)> {
    tell(&format!("a directory of {} MiB, for the agent's memory", options.small_mebibytes));
    let data = root.join("small");
    data::fill(&data, options.small_mebibytes)?;
    let agent = Agent::start(&root.join("agent"), &json!({"files": {"directory": data}}))?;
    let (backup, status) = agent.back_up("small")?;
    let restore = agent.restore("small", &status)?;
    drop(agent);
    shell::remove(&root.join("agent"))?;
    shell::remove(&data)?;
    Ok((backup.peak_mib, restore.peak_mib))
}
