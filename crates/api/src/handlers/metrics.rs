//! `GET /metrics`: numbers for Prometheus.

use actix_web::HttpResponse;
use backup_core::actions::measure::{Measurements, measure};
use backup_core::domain::reconciliation::{FindingKind, Reconciliation};
use chrono::{DateTime, Utc};

use super::{Answer, Core};
use crate::metrics::Families;

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The database's numbers, and this process'.
pub(crate) async fn show(core: Core) -> Answer {
    let measured = measure(&core).await?;
    let mut families = Families::default();
    write_operations(&mut families, &measured);
    write_places(&mut families, &measured);
    families.single(
        "backup_manager_backups_not_restorable",
        "gauge",
        "Good backups whose last rehearsal has said that they cannot be relied upon.",
        measured.not_restorable,
    );
    write_queues(&mut families, &measured);
    write_moments(&mut families, &measured);
    if let Some(run) = &measured.reconciliation {
        write_reconciliation(&mut families, run, measured.now);
    }
    write_process(&mut families);
    Ok(HttpResponse::Ok().content_type(TEXT).body(families.into_text()))
}

fn write_operations(families: &mut Families, measured: &Measurements) {
    const NAME: &str = "backup_manager_operations";
    families.begin(NAME, "gauge", "Backups, restores and rehearsals that are not over.");
    let counts = measured.unfinished;
    for (kind, status, count) in [
        ("backup", "queued", counts.queued_backups),
        ("backup", "running", counts.running_backups),
        ("restore", "queued", counts.queued_restores),
        ("restore", "running", counts.running_restores),
        ("rehearsal", "queued", counts.queued_rehearsals),
        ("rehearsal", "running", counts.running_rehearsals),
    ] {
        families.value(NAME, &[("kind", kind), ("status", status)], count);
    }
}

fn write_places(families: &mut Families, measured: &Measurements) {
    const NAME: &str = "backup_manager_places";
    families.begin(NAME, "gauge", "Backups that hold a place under the limits, or wait for one, by broker.");
    for places in &measured.places {
        for (state, count) in [
            ("held", places.held),
            ("waiting_on_demand", places.waiting_on_demand),
            ("waiting_scheduled", places.waiting_scheduled),
        ] {
            families.value(NAME, &[("broker", &places.broker), ("state", state)], count);
        }
    }
}

fn write_queues(families: &mut Families, measured: &Measurements) {
    const JOBS: &str = "backup_manager_jobs";
    const OLDEST: &str = "backup_manager_queue_oldest_ready_seconds";
    const WORKERS: &str = "backup_manager_queue_workers";
    families.begin(
        JOBS,
        "gauge",
        "Jobs by queue and state; failed ones of the last 24 hours. No count goes beyond 100000.",
    );
    for queue in &measured.queues {
        for (state, count) in [
            ("ready", queue.ready),
            ("scheduled", queue.scheduled),
            ("running", queue.running),
            ("failed", queue.failed),
        ] {
            families.value(JOBS, &[("queue", &queue.queue), ("state", state)], count);
        }
    }
    families.begin(
        OLDEST,
        "gauge",
        "For how long the longest waiting job could have run; 0 when none waits.",
    );
    for queue in &measured.queues {
        let waits = queue.oldest_ready_at.map_or(0, |at| (measured.now - at).num_seconds().max(0));
        families.value(OLDEST, &[("queue", &queue.queue)], waits);
    }
    families.begin(WORKERS, "gauge", "Live workers that serve the queue.");
    for queue in &measured.queues {
        families.value(WORKERS, &[("queue", &queue.queue)], queue.served_by.len());
    }
}

fn write_moments(families: &mut Families, measured: &Measurements) {
    let counts = measured.moments;
    let help = "Live instances that are to be restorable to any moment.";
    families.single("backup_manager_pitr_instances", "gauge", help, counts.instances);
    let help =
        "Those whose window does not grow: broken, none yet, or standing still for a quarter of an hour.";
    families.single("backup_manager_pitr_broken_instances", "gauge", help, counts.broken);
}

fn write_reconciliation(families: &mut Families, run: &Reconciliation, now: DateTime<Utc>) {
    const FINDINGS: &str = "backup_manager_reconciliation_findings";
    let help =
        "Differences between database, stores and agents that the last complete reconciliation has found.";
    families.begin(FINDINGS, "gauge", help);
    for kind in FindingKind::ALL {
        let count = run.counts.get(kind.as_str()).copied().unwrap_or_default();
        families.value(FINDINGS, &[("kind", kind.as_str())], count);
    }
    let help = "Agents and stores that it could not ask: nothing is known of what they hold.";
    families.single("backup_manager_reconciliation_not_compared", "gauge", help, run.not_compared);
    let help = "Agents that do not list their operations.";
    families.single("backup_manager_reconciliation_agents_without_journal", "gauge", help, run.notes);
    if let Some(finished_at) = run.finished_at {
        let help = "How long ago it ended, by the database's clock.";
        let age = (now - finished_at).num_seconds().max(0);
        families.single("backup_manager_reconciliation_age_seconds", "gauge", help, age);
    }
}

/// Linux tells in files. What it does not tell is left out.
fn write_process(families: &mut Families) {
    /// Fixed for programs, whatever the kernel counts in.
    const TICKS_PER_SECOND: f64 = 100.0;
    const KIB: u64 = 1024;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    if let Some(kib) = resident {
        let help = "Resident memory.";
        families.single("process_resident_memory_bytes", "gauge", help, kib.saturating_mul(KIB));
    }
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses, which may hold anything.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    if let (Some(user), Some(system)) = (ticks(), ticks()) {
        let seconds = (f64::from(user) + f64::from(system)) / TICKS_PER_SECOND;
        families.single("process_cpu_seconds_total", "counter", "Time on processors.", seconds);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        families.single("process_open_fds", "gauge", "Open file descriptors.", open.count());
    }
}
