//! Server → stream: the manifest, the globals, then one custom-format dump per database, consistent in itself.

use std::io::Write;

use super::STREAM_VERSION;
use super::catalogue;
use super::container::ContainerWriter;
use super::manifest::{End, Length, Manifest};
use super::programs::Programs;
use crate::drivers::DriverError;
use crate::session::{Program, Session};

/// Writes all databases and the globals.
pub(super) fn backup(programs: &Programs, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
    let open = programs.open_database(session)?;
    let mut server = catalogue::read(programs, session, &open)?;
    let dumped_with = programs.fitting(session, server.major())?;
    for invalid in server.databases.extract_if(.., |database| database.is_invalid()) {
        // Nobody can read it any more; whoever dropped it half wants it gone.
        tracing::warn!(database = invalid.name, "a database whose DROP was interrupted is left out");
    }
    if let Some(closed) = server.databases.iter().find(|d| !d.allows_connections) {
        let message = format!("the database {} accepts no connections, so it cannot be dumped", closed.name);
        return Err(DriverError::data_service(message));
    }
    let manifest = Manifest { stream_version: STREAM_VERSION, dumped_with, server };
    let mut container = ContainerWriter::new(out);
    container.manifest(&to_json(&manifest)?)?;
    let globals = programs.program("pg_dumpall", &open)?;
    let globals = globals.arg("--globals-only").arg("--database").arg(&open);
    let mut end =
        End { globals: output(session, globals, |source| container.globals(source))?, databases: Vec::new() };
    for database in &manifest.server.databases {
        // Compression comes after us, for all drivers alike.
        let dump = programs.program("pg_dump", &database.name)?.arg("--format=custom").arg("--compress=0");
        let length = output(session, dump, |source| container.dump(database.number, &database.name, source));
        end.databases.push(length.map_err(|error| error.within(&format!("database {}", database.name)))?);
    }
    container.end(&to_json(&end)?)
}

/// Runs a program and hands its standard output on. A program that fails outweighs an output that looks complete.
fn output(
    session: &Session,
    program: Program,
    consume: impl FnOnce(std::process::ChildStdout) -> Result<Length, DriverError>,
) -> Result<Length, DriverError> {
    let mut running = program.piped_stdout().start(session)?;
    let source = running.stdout();
    let source = source.ok_or_else(|| DriverError::data_service("a program has no output".to_owned()))?;
    let length = consume(source)?;
    running.finish()?;
    Ok(length)
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, DriverError> {
    serde_json::to_vec_pretty(value).map_err(|e| DriverError::Stream(e.into()))
}
