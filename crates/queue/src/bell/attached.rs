//! A bell on a connection: it learns from the connection's own events that a transaction in which jobs were enqueued
//! has been committed. Events carry no word from us, so [`announcing`] leaves one in a variable of the thread for the
//! moment in which its statement starts.

use std::cell::RefCell;
use std::time::Instant;

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::pg::PgConnection;

use super::{Bell, Due, notify};
use crate::Error;

thread_local! {
    static WORD: RefCell<Word> = const { RefCell::new(Word::None) };
}

/// Between a statement of ours and the connection it runs on.
enum Word {
    None,
    /// Nobody has taken note yet.
    Wanted(Due),
    /// To be notified of within the transaction.
    Within(Due),
    /// The connection rings after the commit.
    AtCommit,
    /// There is no transaction: to be rung when the statement has ended.
    AtOnce(Bell, Due),
}

/// Carries out a statement that makes something ready in these queues, and sees to it that runners are woken: by the bell of the
/// connection, or by a notification in the transaction if there is no bell, or it was silent of late.
pub(crate) fn announcing<T>(
    conn: &mut PgConnection,
    due: Due,
    statement: impl FnOnce(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    if due.is_none() {
        return statement(conn);
    }
    WORD.replace(Word::Wanted(due));
    let answer = statement(conn);
    let word = WORD.replace(Word::None);
    let answer = answer?;
    match word {
        Word::Wanted(due) | Word::Within(due) => notify(conn, &due)?,
        Word::AtOnce(bell, due) => bell.ring_for(due),
        Word::AtCommit | Word::None => {}
    }
    Ok(answer)
}

/// What a connection with a bell remembers.
pub(super) struct Attached {
    bell: Bell,
    due: Due,
    is_in_transaction: bool,
    /// The transaction itself notifies.
    notifies: bool,
    committing_since: Option<Instant>,
}

impl Attached {
    pub(super) fn new(bell: Bell) -> Self {
        Self { bell, due: Due::default(), is_in_transaction: false, notifies: false, committing_since: None }
    }

    fn listen_for_word(&mut self) {
        WORD.with_borrow_mut(|word| match std::mem::replace(word, Word::None) {
            Word::Wanted(due) if self.is_in_transaction && self.bell.is_quiet() => {
                self.notifies = true;
                *word = Word::Within(due);
            }
            Word::Wanted(due) if self.is_in_transaction => {
                self.due.merge(due);
                *word = Word::AtCommit;
            }
            Word::Wanted(due) => *word = Word::AtOnce(self.bell.clone(), due),
            other => *word = other,
        });
    }

    fn end_transaction(&mut self) -> Due {
        self.is_in_transaction = false;
        if let (true, Some(since)) = (self.notifies, self.committing_since) {
            self.bell.committed(since.elapsed());
        }
        (self.notifies, self.committing_since) = (false, None);
        std::mem::take(&mut self.due)
    }
}

impl Instrumentation for Attached {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::BeginTransaction { depth, .. } if depth.get() == 1 => {
                self.end_transaction();
                self.is_in_transaction = true;
            }
            // Told before the statement is sent; a savepoint is not the end.
            InstrumentationEvent::CommitTransaction { depth, .. } if depth.get() == 1 => {
                self.committing_since = Some(Instant::now());
            }
            InstrumentationEvent::RollbackTransaction { depth, .. } if depth.get() == 1 => {
                self.end_transaction();
            }
            InstrumentationEvent::FinishQuery { error, .. } if self.committing_since.is_some() => {
                let due = self.end_transaction();
                if error.is_none() {
                    self.bell.ring_for(due);
                }
            }
            InstrumentationEvent::StartQuery { .. } => self.listen_for_word(),
            _ => {}
        }
    }
}
