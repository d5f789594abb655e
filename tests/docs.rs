//! Prose that stays true: the paths it names exist, and so do the tests it names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use backup_core::domain::reason::ReasonCode;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file with this ending below a folder, build output left out.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if !matches!(name.as_str(), "target" | ".git") {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// What stands between single backquotes, code blocks left out.
fn quoted(prose: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in prose.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_path_in_the_prose_exists() {
    let root = root();
    let top: BTreeSet<String> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut missing = Vec::new();
    let mut checked = 0;
    for page in files(&root, ".md") {
        for words in quoted(&fs::read_to_string(&page).unwrap()) {
            let is_path = words.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let first = words.split('/').next().unwrap_or_default();
            if is_path && words.contains('/') && top.contains(first) {
                checked += 1;
                if !root.join(&words).exists() {
                    missing.push(format!("{}: {words}", page.display()));
                }
            }
        }
    }
    assert!(checked > 30, "only {checked} paths found in the prose");
    assert!(missing.is_empty(), "these paths do not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let root = root();
    let mut broken = Vec::new();
    for page in files(&root, ".md") {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !page.parent().unwrap().join(target).exists()
            {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

/// A promise names its test as `a_sentence_in_snake_case`; four words or more are taken for one.
#[test]
fn every_test_named_in_the_prose_exists() {
    let root = root();
    let sources: String = files(&root, ".rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut missing = Vec::new();
    for page in files(&root, ".md") {
        for words in quoted(&fs::read_to_string(&page).unwrap()) {
            let is_name = words.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if is_name && words.matches('_').count() >= 4 && !sources.contains(&words) {
                missing.push(format!("{}: {words}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "these names are in no source file:\n{}", missing.join("\n"));
}

#[test]
fn every_reason_code_is_documented() {
    let page = fs::read_to_string(root().join("docs/reason-codes.md")).unwrap();
    for reason in ReasonCode::ALL {
        assert!(page.contains(&format!("| `{reason}` |")), "{reason} is not in docs/reason-codes.md");
    }
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent: Vec<_> = files(&root(), ".rs")
        .into_iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "these files do not open with a module comment: {silent:?}");
}
