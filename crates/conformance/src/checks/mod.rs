//! The checks, a file per part of the protocol. Each is a promise in one sentence and the code that tries to see it broken. They
//! are made one after the other, because an agent works on one thing at a time, and each leaves the agent free.

mod bad_requests;
mod busy;
mod epochs;
mod general;
mod journal;
mod kills;
mod restores;
mod starts;
mod stops;

use futures_util::future::BoxFuture;

use crate::kit::{Checked, Kit, verdict};
use crate::report::{Outcome, Report};
use crate::target::Target;

/// A promise and how to see whether it is kept.
pub(crate) struct Check {
    name: &'static str,
    make: for<'a> fn(&'a Kit) -> BoxFuture<'a, Checked>,
}

/// Declares the checks of a file.
macro_rules! checks {
    ($($name:literal: $make:ident;)+) => {
        pub(crate) const CHECKS: &[$crate::checks::Check] = &[
            $($crate::checks::Check { name: $name, make: |kit| Box::pin($make(kit)) }),+
        ];
    };
}
use checks;

const ALL: &[&[Check]] = &[
    general::CHECKS,
    bad_requests::CHECKS,
    starts::CHECKS,
    epochs::CHECKS,
    stops::CHECKS,
    busy::CHECKS,
    restores::CHECKS,
    journal::CHECKS,
    kills::CHECKS,
];

/// Makes all checks; `told` hears of each as soon as it is made. What the agent stored is left in the store: stopping an
/// operation removes what it wrote, and finished backups below `conformance-…` belong to whoever called.
///
/// # Errors
/// When the suite itself cannot work. A broken promise is no error, but in the report.
pub async fn run(target: Target, mut told: impl FnMut(&Outcome)) -> anyhow::Result<Report> {
    let kit = Kit::new(target)?;
    let mut outcomes = Vec::new();
    for check in ALL.iter().copied().flatten() {
        let outcome = Outcome { name: check.name, verdict: verdict((check.make)(&kit).await) };
        told(&outcome);
        outcomes.push(outcome);
    }
    Ok(Report { outcomes })
}
