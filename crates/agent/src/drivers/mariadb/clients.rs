//! Keeps clients out while data are exchanged.

use std::time::{Duration, Instant};

use super::Inner;
use super::catalogue::Catalogue;
use super::exchange::assign;
use crate::drivers::DriverError;
use crate::session::Session;

const CONNECTIONS_END: Duration = Duration::from_secs(60);

/// No valid SQL: the server ends each new connection with it, but those of administrators.
const KEEP_OUT: &str = "a restore by the backup agent is being completed";

/// Lets nobody in and ends all connections, also those of an agent that was killed. The server forgets this when it is
/// started again.
pub(super) fn keep_out(inner: &Inner, session: &Session, now: &Catalogue) -> Result<(), DriverError> {
    let mut sql = assign("init_connect", KEEP_OUT);
    if now.setting("event_scheduler") == Some("ON") {
        sql.push_str(&assign("event_scheduler", "OFF"));
    }
    inner.client.sql(session, sql)?;
    end_connections(inner, session)
}

/// Ends all connections but ours. Administrators may come back at once; they are not waited for.
fn end_connections(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let list = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()
        AND USER NOT IN ('system user', 'event_scheduler') AND COMMAND NOT LIKE 'Binlog Dump%';";
    let ids = |text: &str| -> Vec<String> { text.lines().map(|id| id.trim().to_owned()).collect() };
    let found = ids(&inner.client.sql(session, list.to_owned())?);
    if found.is_empty() {
        return Ok(());
    }
    // Some may have ended by themselves meanwhile.
    let kills: String = found.iter().map(|id| format!("KILL CONNECTION {id};\n")).collect();
    let handler = "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;";
    let sql = format!("DELIMITER //\nBEGIN NOT ATOMIC\n{handler}\n{kills}END//\n");
    inner.client.sql(session, sql)?;
    let patience = Instant::now() + CONNECTIONS_END;
    loop {
        let left = ids(&inner.client.sql(session, list.to_owned())?);
        if !left.iter().any(|id| found.contains(id)) {
            return Ok(());
        }
        if Instant::now() > patience {
            return Err(DriverError::data_service("connections do not end within a minute"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
