//! The operator's programs and how they are started. Only the exit status decides whether one has failed: what it prints
//! to standard error is its own business, and the last lines of it are the message of a failure.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::CommandSettings;
use super::restore::Progress;
use crate::drivers::alone::Alone;
use crate::drivers::record::Record;
use crate::drivers::{DriverError, Trouble};
use crate::session::{Program, Session, require_setpriv};

const RECORD: &str = "command-restore.json";

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Backup,
    Restore,
    Commit,
    Discard,
    Estimate,
    Version,
}

/// The programs.
pub(super) struct Programs {
    settings: CommandSettings,
    scratch: PathBuf,
    pub(super) record: Record<Progress>,
    /// Held while what a restore has left is completed or removed.
    pub(super) recovering: Alone,
}

impl Programs {
    pub(super) fn find(settings: CommandSettings, scratch: &Path) -> Result<Self, DriverError> {
        require_setpriv()?;
        let record = Record::at(scratch, RECORD);
        let programs = Self { settings, scratch: scratch.to_owned(), record, recovering: Alone::default() };
        for task in
            [Task::Backup, Task::Restore, Task::Commit, Task::Discard, Task::Estimate, Task::Version]
        {
            if let Some(words) = programs.words(task) {
                parse(task, words)?;
            }
        }
        Ok(programs)
    }

    pub(super) fn has(&self, task: Task) -> bool {
        self.words(task).is_some()
    }

    /// A program ready to be started; `restore` is the id of the restore it belongs to.
    pub(super) fn program(&self, task: Task, restore: Option<&str>) -> Result<Program, DriverError> {
        let words = self.words(task).unwrap_or_default();
        let (path, arguments) = parse(task, words)?;
        let mut program = Program::new(path, &self.scratch)?.judged_by_exit_status();
        program = arguments.iter().fold(program, Program::arg);
        for (name, value) in &self.settings.environment {
            program = program.env(name, value);
        }
        for (name, value) in &self.settings.secret_environment {
            program = program.secret_env(name, value.expose_secret());
        }
        Ok(match restore {
            Some(id) => program.env("BACKUP_AGENT_RESTORE", id),
            None => program,
        })
    }

    /// A program that does nothing for as long as it may live.
    pub(super) fn holder(&self) -> Result<Program, DriverError> {
        Ok(Program::new(Path::new("/bin/sleep"), &self.scratch)?.arg("infinity"))
    }

    /// Runs a program to its end, if there is one for this.
    pub(super) fn run(&self, session: &Session, task: Task, restore: &str) -> Result<(), DriverError> {
        match self.has(task) {
            true => self.program(task, Some(restore))?.start(session)?.finish(),
            false => Ok(()),
        }
    }

    /// What a program prints, if there is one for this.
    pub(super) fn answer(&self, session: &Session, task: Task) -> Result<Option<String>, DriverError> {
        match self.has(task) {
            true => self.program(task, None)?.answer(session, String::new()).map(Some),
            false => Ok(None),
        }
    }

    fn words(&self, task: Task) -> Option<&[String]> {
        let settings = &self.settings;
        match task {
            Task::Backup => Some(&settings.backup),
            Task::Restore => Some(&settings.restore),
            Task::Commit => settings.commit.as_deref(),
            Task::Discard => settings.discard.as_deref(),
            Task::Estimate => settings.estimate.as_deref(),
            Task::Version => settings.version.as_deref(),
        }
    }
}

/// Path and arguments. The program must be there each time it is wanted.
fn parse(task: Task, words: &[String]) -> Result<(&Path, &[String]), DriverError> {
    let key = format!("{task:?}").to_lowercase();
    let Some((path, arguments)) = words.split_first() else {
        return Err(DriverError::data_service(format!("driver.command.{key} is empty; it needs a program")));
    };
    let path = Path::new(path);
    if !path.is_absolute() {
        let message = format!("driver.command.{key}: {} is not an absolute path", path.display());
        return Err(DriverError::data_service(message));
    }
    if !path.is_file() {
        let message = format!("driver.command.{key}: there is no program {}", path.display());
        return Err(DriverError::of(Trouble::ProgramMissing, message));
    }
    Ok((path, arguments))
}
