//! The journal, page by page.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde_json::Value;

use crate::checks::checks;
use crate::kit::{Checked, Kit, Skip};

checks! {
    "the journal lists every operation once, page by page": lists_everything_once;
    "a page of a size that makes no sense is refused": refuses_bad_pages;
}

async fn lists_everything_once(kit: &Kit) -> Checked {
    has_a_journal(kit).await?;
    let (first, second) = (kit.backup("listed-1"), kit.backup("listed-2"));
    kit.finished_backup(&first).await?;
    kit.delete(&second).await?.expect("a stop before the beginning", 200, "cancelled")?;
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = kit.get(&format!("/v1/operations?limit=2{after}")).await?;
        page.expect("a page", 200, "")?;
        let operations = page.body.get("operations").and_then(Value::as_array).cloned().unwrap_or_default();
        ensure!(operations.len() <= 2, "a page of two has {}", operations.len());
        for operation in &operations {
            let id = operation.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let kind = operation.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            ensure!(seen.insert((kind, id.clone())), "{id} is listed twice");
        }
        match page.text("next") {
            "" => break,
            next => after = format!("&after={next}"),
        }
        ensure!(!operations.is_empty(), "an empty page names a next one");
    }
    for name in ["listed-1", "listed-2"] {
        ensure!(seen.contains(&("backup".to_owned(), kit.id(name))), "{} is not listed", kit.id(name));
    }
    Ok(())
}

async fn refuses_bad_pages(kit: &Kit) -> Checked {
    has_a_journal(kit).await?;
    for limit in ["0", "1001", "many"] {
        let refused = kit.get(&format!("/v1/operations?limit={limit}")).await?;
        refused.expect(&format!("a page of {limit}"), 400, "BadRequest")?;
    }
    Ok(())
}

/// An agent may do without.
async fn has_a_journal(kit: &Kit) -> Checked {
    match kit.get("/v1/operations?limit=1").await?.status {
        404 | 405 => Err(Skip("the agent does not list its journal".to_owned()).into()),
        _ => Ok(()),
    }
}
