//! Names the template database after the content of the migrations, and embeds them anew when they change.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = BTreeMap::new();
    for migration in std::fs::read_dir(&folder)? {
        for file in std::fs::read_dir(migration?.path()).into_iter().flatten() {
            let path = file?.path();
            files.insert(path.clone(), std::fs::read(&path)?);
        }
    }
    let mut hasher = DefaultHasher::new();
    files.into_iter().collect::<Vec<_>>().hash(&mut hasher);
    println!("cargo::rustc-env=MIGRATIONS_HASH={:016x}", hasher.finish());
    Ok(())
}
