//! The directories of one test and the configuration that names them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Data, store, and scratch directory; removed at the end.
pub(crate) struct Site {
    root: tempfile::TempDir,
    pub(crate) config: Value,
}

impl Site {
    /// A site whose data service is a directory of files.
    pub(crate) fn files() -> Self {
        let site = Self::with_driver(json!({}));
        let driver = json!({"files": {"directory": site.data()}});
        Self { config: patched(site.config.clone(), "driver", driver), ..site }
    }

    /// A site with another driver.
    pub(crate) fn with_driver(driver: Value) -> Self {
        let root = tempfile::tempdir().unwrap();
        // A scratch server runs as another user when the test is root, and must get there.
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        for name in ["data", "store", "scratch"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let config = json!({
            "listen": "127.0.0.1:0",
            "credential": {"user": "manager", "password": "agent-password"},
            "driver": driver,
            "stores": {"main": {"kind": "local", "directory": root.path().join("store")}},
            "scratch_directory": root.path().join("scratch"),
        });
        Self { root, config }
    }

    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.config = patched(self.config, key, value);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.data().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Names of all files below the store.
    pub(crate) fn stored(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.path("store"), &mut names);
        names.sort();
        names
    }

    pub(crate) fn part(&self, backup: &str, number: u32) -> PathBuf {
        self.path("store").join(format!("prefix/guid/{backup}/data.{number:05}"))
    }
}

fn collect(directory: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => collect(&entry.path(), names),
            false => names.push(entry.file_name().into_string().unwrap()),
        }
    }
}

fn patched(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}
