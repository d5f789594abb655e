//! Prose stays true: each test that the documentation or a doc comment leans on exists.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The texts of all Rust files below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// Words in backticks that read like the name of a test: a sentence of at least four words.
fn named(text: &str) -> Vec<&str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| {
            word.matches('_').count() >= 3
                && !word.contains(|letter: char| !letter.is_alphanumeric() && letter != '_')
        })
        .collect()
}

#[test]
fn every_test_named_in_prose_exists() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = [sources(&here.join("src")), sources(&here.join("tests"))].concat();
    let tests: HashSet<&str> = texts
        .iter()
        .flat_map(|text| text.split("fn ").skip(1))
        .map(|rest| rest.split('(').next().unwrap())
        .collect();
    let page = fs::read_to_string(here.join("../../docs/queue.md")).unwrap();
    let comments = sources(&here.join("src"));
    let comments: Vec<String> = comments
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| line.trim_start().starts_with("//"))
        .map(str::to_owned)
        .collect();
    let missing: Vec<&str> = [named(&page), comments.iter().flat_map(|line| named(line)).collect()]
        .concat()
        .into_iter()
        .filter(|name| !tests.contains(name))
        .collect();
    assert!(named(&page).len() > 40);
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
