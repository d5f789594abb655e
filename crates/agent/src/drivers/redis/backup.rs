//! Server → stream: the snapshot a new replica gets, without its length or end mark. The server forks for it, so that it is
//! one moment's data however busy the writers are.

use std::io::Write;

use super::connection::Connection;
use super::info::Info;
use crate::drivers::DriverError;
use crate::session::Session;

/// `$EOF:` is followed by this many characters, which come once more after the last byte.
const MARK: usize = 40;

/// The form in which the snapshot comes.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    /// From a file of the server, whose length is known.
    Length(u64),
    /// While it is made; ends with these bytes.
    Marked(Vec<u8>),
}

pub(super) fn backup(
    mut connection: Connection,
    session: &Session,
    out: &mut dyn Write,
) -> Result<(), DriverError> {
    refuse_cluster(&Info::read(&mut connection)?)?;
    // Spares the server a file of its own, and what is written after the snapshot. Older servers know neither.
    connection.try_command(&["REPLCONF", "capa", "eof"])?;
    connection.try_command(&["REPLCONF", "rdb-only", "1"])?;
    connection.send(&["SYNC"])?;
    match form(&mut connection, session)? {
        Form::Length(length) => copy_length(&mut connection, length, out),
        Form::Marked(mark) => copy_until(&mut connection, &mark, out),
    }
}

/// A node of a cluster holds a part of the keys, and its place in the cluster is not in the snapshot.
pub(super) fn refuse_cluster(info: &Info) -> Result<(), DriverError> {
    match info.is("cluster_enabled", "1") {
        true => Err(DriverError::data_service("the server is a node of a Redis Cluster, which is not supported")),
        false => Ok(()),
    }
}

/// Waits until the snapshot begins; empty lines are signs of life.
fn form(connection: &mut Connection, session: &Session) -> Result<Form, DriverError> {
    loop {
        session.check()?;
        let line = connection.line()?;
        if line.is_empty() {
            continue;
        }
        if let Some(refusal) = line.strip_prefix('-') {
            return Err(connection.refused("SYNC", refusal));
        }
        let unclear = || DriverError::data_service(format!("the server begins a snapshot unclearly: {line}"));
        let rest = line.strip_prefix('$').ok_or_else(unclear)?;
        return match rest.strip_prefix("EOF:") {
            Some(mark) if mark.len() == MARK => Ok(Form::Marked(mark.as_bytes().to_vec())),
            Some(_) => Err(unclear()),
            None => rest.parse().map(Form::Length).map_err(|_| unclear()),
        };
    }
}

fn copy_length(connection: &mut Connection, length: u64, out: &mut dyn Write) -> Result<(), DriverError> {
    let mut buffer = vec![0; 128 * 1024];
    let mut left = length;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let target = buffer.get_mut(..wanted).unwrap_or_default();
        let read = connection.bytes(target)?;
        if read == 0 {
            return Err(connection.broken(std::io::ErrorKind::UnexpectedEof.into()));
        }
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(DriverError::Stream)?;
        left = left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// Holds back as many bytes as the mark has: they may be it.
fn copy_until(connection: &mut Connection, mark: &[u8], out: &mut dyn Write) -> Result<(), DriverError> {
    let mut buffer = vec![0; 128 * 1024];
    let mut held = Vec::new();
    loop {
        let read = connection.bytes(&mut buffer)?;
        if read == 0 {
            return Err(connection.broken(std::io::ErrorKind::UnexpectedEof.into()));
        }
        held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let certain = held.len().saturating_sub(mark.len());
        let rest = held.split_off(certain);
        out.write_all(&held).map_err(DriverError::Stream)?;
        if rest == mark {
            return Ok(());
        }
        held = rest;
    }
}
