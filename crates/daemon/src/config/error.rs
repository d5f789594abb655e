//! What is wrong with a configuration, for the person who has to repair it.

use std::fmt;

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Full path of the key, for example `workers[1].queues`.
    pub path: String,
    /// What stands there; the value of a secret is described, not shown.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
}

impl Mistake {
    /// Builds a mistake from its three parts.
    pub fn new(path: impl Into<String>, found: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self { path: path.into(), found: found.to_string(), allowed: allowed.to_string() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}; allowed: {}", self.path, self.found, self.allowed)
    }
}

/// A configuration that cannot be used: unreadable, or readable with mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    source_name: String,
    unreadable: Option<String>,
    mistakes: Vec<Mistake>,
}

impl ConfigError {
    /// An error for the file `source` with these mistakes.
    pub fn new(source: impl Into<String>, mistakes: Vec<Mistake>) -> Self {
        Self { source_name: source.into(), unreadable: None, mistakes }
    }

    /// An error for a file that is absent, forbidden or not YAML.
    pub fn unreadable(source: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { source_name: source.into(), unreadable: Some(reason.into()), mistakes: Vec::new() }
    }

    /// The mistakes, in the order they were found.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.unreadable {
            return write!(f, "the configuration {} cannot be read: {reason}", self.source_name);
        }
        let count = self.mistakes.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "the configuration {} has {count} {noun}", self.source_name)?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}
