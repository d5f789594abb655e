//! How a handler says what became of its job.

use std::error::Error as StdError;
use std::time::Duration;

/// A run that ended without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done; the job is over.
    Done,
    /// Not yet: the same job again after this long. Costs no attempt and leaves no attempt row.
    Snooze(Duration),
    /// There is nothing (more) to do, for this reason; the job is over and is not a failure.
    Discard(String),
}

/// A run that ended with an error. It is not itself a [`std::error::Error`], so that `?` turns any error into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// What went wrong, with its causes.
    pub message: String,
    /// Whether trying again can help; if not, the job fails at once.
    pub retry: bool,
}

impl JobError {
    /// Makes an error after which the job is tried again, with back-off, while attempts are left.
    pub fn retry(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: true }
    }

    /// Makes an error after which the job has failed.
    pub fn give_up(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: false }
    }
}

impl<E: StdError> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::retry(chain(&error))
    }
}

/// Prints an error and its causes as `outer: inner: innermost`.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer trouble")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn an_error_becomes_a_retry_with_all_its_causes() {
        let cause = "x".parse::<i32>().unwrap_err();
        let error = JobError::from(Outer(cause));
        assert_eq!(error.message, "the outer trouble: invalid digit found in string");
        assert!(error.retry);
    }
}
