//! The HTTP contract, sentence by sentence, against whatever answers at a URL: see CONTRIBUTING.md for the variables. The
//! suite knows URLs, field names, types and statuses, and nothing of our crates; only `own.rs`, which starts an
//! installation when no URL is given, does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::print_stderr, reason = "what could not be checked is said")]

mod backups;
mod client;
mod configuration;
mod downloads;
mod general;
mod operators;
mod own;
mod paths;
mod public;
mod restores;
mod shapes;
mod target;

use std::pin::Pin;

use target::Target;
use tokio::task::LocalSet;

type Area = Pin<Box<dyn Future<Output = ()>>>;

/// One test, because an installation of its own takes longer to start than to be asked everything.
#[tokio::test(flavor = "multi_thread")]
async fn every_sentence_of_the_http_contract_holds() {
    let (target, _installation) = match Target::of_environment() {
        Some(target) => (target, None),
        None => {
            let (target, installation) = own::start().await;
            (target, Some(installation))
        }
    };
    let areas: [(&str, Area); 7] = [
        ("general rules", Box::pin(general::check(target.clone()))),
        ("2.1 backups", Box::pin(backups::check(target.clone()))),
        ("2.1 downloads", Box::pin(downloads::check(target.clone()))),
        ("2.2 restores", Box::pin(restores::check(target.clone()))),
        ("2.3 instance configuration", Box::pin(configuration::check(target.clone()))),
        ("2.4 first generation", Box::pin(operators::check(target.clone()))),
        ("2.5 public API", Box::pin(public::check(target))),
    ];
    let tasks = LocalSet::new();
    let mut broken = Vec::new();
    for (name, area) in areas {
        let since = std::time::Instant::now();
        // A task of its own, so that one broken sentence does not hide those of the next area.
        if tasks.run_until(tasks.spawn_local(area)).await.is_err() {
            broken.push(name);
        }
        eprintln!("{name}: {:.1} s", since.elapsed().as_secs_f32());
    }
    assert!(broken.is_empty(), "broken: {}; the reasons stand above", broken.join(", "));
}

/// Says that something could not be checked here, and what would make it possible.
fn skip(what: &str, needed: &str) {
    eprintln!("not checked: {what}; needs {needed}");
}
