//! The configuration of a daemon: a YAML file, overridden by environment variables, with secrets from files,
//! read into a serde type. All mistakes that can be found are reported together, each with the key's full path,
//! what was found and what is allowed; the value of a secret is never shown. Bounds that serde cannot express
//! are checked by the owner of the type, who reports them as [`Mistake`]s as well.

mod environment;
mod error;
mod secret_files;
mod tree;
mod typed;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use error::{ConfigError, Mistake};

/// Reads the file at `path`, applies the variables `PREFIX__A__B` of the process's environment, replaces every
/// `x_file` by the content of that file as `x`, and turns the result into `T`.
///
/// A type that wants unknown keys refused carries `#[serde(deny_unknown_fields)]`. A key with a text value whose
/// name ends in `_file` always names a file that holds a secret; paths of other things are named `…_path`.
pub fn load<T: DeserializeOwned>(path: &Path, env_prefix: &str) -> Result<T, ConfigError> {
    let source = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(&source, error.to_string()))?;
    // Lossy, because a variable of somebody else with odd bytes is no reason to die.
    let environment = std::env::vars_os()
        .map(|(k, v)| (k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()));
    load_text(&source, &text, env_prefix, environment)
}

/// [`load`] with the file's text and the environment given; `source` names the file in errors.
pub fn load_text<T: DeserializeOwned>(
    source: &str,
    text: &str,
    env_prefix: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let mut tree = parse_yaml(text).map_err(|reason| ConfigError::unreadable(source, reason))?;
    let mut mistakes = Vec::new();
    let from_environment = environment::overlay(&mut tree, env_prefix, environment);
    secret_files::replace(&mut tree, &mut mistakes);
    let typed = typed::deserialize(tree, &from_environment, &mut mistakes);
    match typed {
        Some(value) if mistakes.is_empty() => Ok(value),
        _ => Err(ConfigError::new(source, mistakes)),
    }
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    let file = ::config::File::from_str(text, ::config::FileFormat::Yaml);
    let read = ::config::Config::builder().add_source(file).build().map_err(|error| error.to_string())?;
    let value: Value = read.try_deserialize().map_err(|error| error.to_string())?;
    Ok(if value.is_null() { Value::Object(Map::new()) } else { value })
}
