//! Brings an unpacked base to a moment: a temporary server on a private socket replays the log, becomes a primary and is
//! shut down again. Nobody else can reach it, and the data in use are not touched. The pieces of the log come one by one
//! as the server asks for them, so that the disk holds only a few.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control::{Control, major};
use super::exchange::RUN;
use super::unpack::give;
use super::{Physical, segment_name, segment_number};
use crate::drivers::files::place::failed;
use crate::drivers::postgresql::quote::{identifier, literal};
use crate::drivers::{DriverError, Moment};
use crate::session::{Program, RunningProgram, Session};

const PAUSE: Duration = Duration::from_millis(30);
/// Pieces fetched before they are asked for, and kept after they were used.
const AHEAD: u64 = 4;
const BEHIND: u64 = 4;

/// PostgreSQL 13 and newer say this when the log ends before the moment.
const ENDED_BEFORE: &str = "recovery ended before configured recovery target was reached";

/// Asks for a piece and waits for it; not longer than the agent lives.
const SCRIPT: &str = r#"#!/bin/sh
: > "{RUN}/want/$1" || exit 255
until [ -e "{RUN}/have/$1" ]; do
  [ -e "{RUN}/none/$1" ] && exit 1
  [ -d "/proc/{AGENT}" ] && [ -d "{RUN}/want" ] || exit 255
  sleep 0.03
done
cp "{RUN}/have/$1" "$2" && rm -f "{RUN}/want/$1"
"#;

/// How far to go.
#[derive(Clone, Copy)]
enum Until<'a> {
    /// As far as the base must be replayed to be consistent.
    Consistent,
    /// To a moment.
    Moment(&'a Moment),
    /// All there is.
    End(&'a Moment),
}

/// Replays the log in `fresh`; leaves it shut down.
pub(super) fn replay(
    physical: &Physical,
    session: &Session,
    fresh: &Path,
    moment: Option<&Moment>,
) -> Result<(), DriverError> {
    let major = major(fresh)?;
    let verify = physical.programs.of_version("pg_verifybackup", &major, physical.owner()?)?;
    verify.arg("--quiet").arg("--exit-on-error").arg(fresh).answer(session, String::new())?;
    let replay = Replay { physical, session, fresh, major, run: physical.place.beside(RUN) };
    let Some(moment) = moment else { return replay.run(Until::Consistent).map(drop) };
    match replay.run(Until::Moment(moment)) {
        Err(error) if error.to_string().contains(ENDED_BEFORE) => {}
        done => return done.map(drop),
    }
    // Nothing was committed between the moment and the end of the log, if the log is all there.
    let Some(last) = &moment.last_piece else {
        return Err(DriverError::data_service(format!("the stored log ends before {}", moment.time.to_rfc3339())));
    };
    let served = replay.run(Until::End(moment))?;
    match served.is_some_and(|served| served >= *last) {
        true => Ok(()),
        false => Err(DriverError::data_service(format!("the stored log ends before segment {last}, which the moment needs"))),
    }
}

struct Replay<'a> {
    physical: &'a Physical,
    session: &'a Session,
    fresh: &'a Path,
    major: String,
    run: PathBuf,
}

/// What was asked for so far.
struct Served {
    segment_size: u64,
    last: Option<String>,
    fetched: BTreeSet<String>,
}

impl Served {
    fn reach(&mut self, name: &str) {
        if self.last.as_deref().is_none_or(|last| name > last) {
            self.last = Some(name.to_owned());
        }
    }

    /// Whoever asks for what is not there has had the one before, perhaps without asking.
    fn end_at(&mut self, name: &str) {
        let Some((timeline, number)) = segment_number(name, self.segment_size) else { return };
        let before = segment_name(timeline, number.saturating_sub(1), self.segment_size);
        if self.fetched.contains(&before) {
            self.reach(&before);
        }
    }
}

impl Replay<'_> {
    /// Returns the last segment that came from the stored log.
    fn run(&self, until: Until<'_>) -> Result<Option<String>, DriverError> {
        self.furnish()?;
        let control = Control::read(self.physical, self.session, self.fresh)?;
        let segment_size = control.get("Bytes per WAL segment").parse().unwrap_or(16 << 20);
        let mut served = Served { segment_size, last: None, fetched: BTreeSet::new() };
        let moment = match until {
            Until::Consistent => None,
            Until::Moment(moment) | Until::End(moment) => Some(moment),
        };
        let running = self.server(&control, until)?.start(self.session)?;
        while !self.is_ready() {
            if running.has_ended() {
                running.finish()?;
                return Err(DriverError::data_service("the temporary server ended before it was ready"));
            }
            if let Some(moment) = moment {
                self.serve(moment, &mut served)?;
            }
            std::thread::sleep(PAUSE);
        }
        self.let_agent_in()?;
        running.interrupt();
        self.finish(running)?;
        Ok(served.last)
    }

    /// After a promotion the server writes a checkpoint before it ends.
    fn finish(&self, running: RunningProgram) -> Result<(), DriverError> {
        running.finish().map_err(|error| error.within("the temporary server"))
    }

    /// An empty room for one run of the server.
    fn furnish(&self) -> Result<(), DriverError> {
        let run = &self.run;
        crate::drivers::files::place::Place::remove_or_log(run);
        let owner = self.physical.owner()?;
        let made = fs::create_dir(run).and_then(|()| {
            for name in ["want", "have", "none"] {
                fs::create_dir(run.join(name))?;
                give(&run.join(name), owner)?;
            }
            let script = SCRIPT.replace("{RUN}", &run.display().to_string());
            let script = script.replace("{AGENT}", &std::process::id().to_string());
            fs::write(run.join("fetch"), script)?;
            fs::write(run.join("postgresql.conf"), "")?;
            fs::write(run.join("pg_hba.conf"), "local all all trust\n")?;
            fs::write(run.join("pg_ident.conf"), "")?;
            File::create(self.fresh.join("recovery.signal"))?;
            give(&self.fresh.join("recovery.signal"), owner)?;
            give(run, owner)
        });
        made.map_err(failed("prepare", run))
    }

    fn server(&self, control: &Control, until: Until<'_>) -> Result<Program, DriverError> {
        let run = self.run.display().to_string();
        let mut program = self.physical.programs.of_version("postgres", &self.major, self.physical.owner()?)?;
        let mut settings = vec![
            ("config_file", format!("{run}/postgresql.conf")),
            ("hba_file", format!("{run}/pg_hba.conf")),
            ("ident_file", format!("{run}/pg_ident.conf")),
            ("external_pid_file", format!("{run}/pid")),
            ("listen_addresses", String::new()),
            ("unix_socket_directories", run.clone()),
            ("unix_socket_permissions", "0700".to_owned()),
            ("port", "5432".to_owned()),
            ("ssl", "off".to_owned()),
            ("hot_standby", "off".to_owned()),
            ("archive_mode", "off".to_owned()),
            ("autovacuum", "off".to_owned()),
            ("max_wal_senders", "0".to_owned()),
            ("shared_preload_libraries", String::new()),
            ("synchronous_standby_names", String::new()),
            ("primary_conninfo", String::new()),
            ("logging_collector", "off".to_owned()),
            ("log_destination", "stderr".to_owned()),
            ("log_line_prefix", String::new()),
            ("lc_messages", "C".to_owned()),
            ("max_prepared_transactions", control.get("max_prepared_xacts setting").to_owned()),
            ("max_locks_per_transaction", control.get("max_locks_per_xact setting").to_owned()),
            ("track_commit_timestamp", control.get("track_commit_timestamp setting").to_owned()),
            ("recovery_target_timeline", "current".to_owned()),
            ("recovery_target_action", "promote".to_owned()),
        ];
        match until {
            Until::Consistent => {
                settings.push(("recovery_target", "immediate".to_owned()));
                settings.push(("restore_command", "false".to_owned()));
            }
            Until::Moment(moment) => {
                settings.push(("recovery_target_time", moment.time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()));
                settings.push(("restore_command", format!("/bin/sh '{run}/fetch' '%f' '%p'")));
            }
            Until::End(_) => settings.push(("restore_command", format!("/bin/sh '{run}/fetch' '%f' '%p'"))),
        }
        // How it ended is told by its exit status and the control file.
        program = program.judged_by_exit_status().arg("-D").arg(self.fresh);
        for (name, value) in settings {
            program = program.arg("-c").arg(format!("{name}={value}"));
        }
        Ok(program)
    }

    /// The last line of the lock file says so.
    fn is_ready(&self) -> bool {
        let lock = fs::read_to_string(self.fresh.join("postmaster.pid")).unwrap_or_default();
        lock.lines().nth(7).is_some_and(|status| status.trim() == "ready")
    }

    /// A backup of another server, or an older one, has another password for the agent's role.
    fn let_agent_in(&self) -> Result<(), DriverError> {
        let settings = self.physical.programs.settings();
        let Some(password) = &settings.password else { return Ok(()) };
        let password = secrecy::ExposeSecret::expose_secret(password);
        let program = self.physical.programs.of_version("psql", &self.major, None)?;
        let program = program.env("PGHOST", &self.run).env("PGPORT", "5432").env("PGUSER", &settings.user);
        let program = program.env("PGDATABASE", "postgres").env("PGCLIENTENCODING", "UTF8");
        let program = program.secret_env("PGPASSWORD", password).arg("--no-psqlrc").arg("--quiet").arg("--file=-");
        let sql = format!("ALTER ROLE {} PASSWORD {};\n", identifier(&settings.user), literal(password));
        program.arg("--set=ON_ERROR_STOP=1").answer(self.session, sql).map(drop)
    }

    /// Brings what the server waits for, and what it will want next.
    fn serve(&self, moment: &Moment, served: &mut Served) -> Result<(), DriverError> {
        let want = self.run.join("want");
        for entry in fs::read_dir(&want).map_err(failed("list", &want))? {
            let name = entry.map_err(failed("list", &want))?.file_name();
            let Some(name) = name.to_str() else { continue };
            if self.run.join("none").join(name).exists() {
                continue;
            }
            if !self.bring(moment, name, served)? {
                if moment.log.continues_after(name) {
                    return Err(DriverError::data_service(format!("segment {name} of the stored log is missing")));
                }
                served.end_at(name);
                let none = self.run.join("none").join(name);
                File::create(&none).map_err(failed("create", &none))?;
                continue;
            }
            self.prefetch(moment, name, served)?;
        }
        Ok(())
    }

    fn prefetch(&self, moment: &Moment, name: &str, served: &mut Served) -> Result<(), DriverError> {
        let Some((timeline, number)) = segment_number(name, served.segment_size) else { return Ok(()) };
        let size = served.segment_size;
        served.reach(name);
        for next in number.saturating_add(1)..=number.saturating_add(AHEAD) {
            if !self.bring(moment, &segment_name(timeline, next, size), served)? {
                break;
            }
        }
        let oldest = segment_name(timeline, number.saturating_sub(BEHIND), size);
        let used: Vec<String> = served.fetched.range(..oldest).cloned().collect();
        for name in used {
            let path = self.run.join("have").join(&name);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            served.fetched.remove(&name);
        }
        Ok(())
    }

    fn bring(&self, moment: &Moment, name: &str, served: &mut Served) -> Result<bool, DriverError> {
        if served.fetched.contains(name) {
            return Ok(true);
        }
        let (half, whole) = (self.run.join("have").join(format!("{name}.new")), self.run.join("have").join(name));
        if !moment.log.fetch(name, &half)? {
            return Ok(false);
        }
        give(&half, self.physical.owner()?).and_then(|()| fs::rename(&half, &whole)).map_err(failed("write", &whole))?;
        served.fetched.insert(name.to_owned());
        Ok(true)
    }
}
