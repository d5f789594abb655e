//! Turns options and environment into a connection to the manager. Neither password nor token ever stands on the command line.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::args::ConnectionArgs;
use crate::error::Error;
use crate::prompt;

/// Environment variable with the password; read here and not by the command-line parser, so that no help shows it.
const PASSWORD_VARIABLE: &str = "BACKUPCTL_PASSWORD";
/// Names a file with it; read here, because `hash-password` wants only the option.
const PASSWORD_FILE_VARIABLE: &str = "BACKUPCTL_PASSWORD_FILE";

/// Names a file with a bearer token; read here, because the password's option wins over it.
const TOKEN_FILE_VARIABLE: &str = "BACKUPCTL_TOKEN_FILE";

/// What proves who asks.
#[derive(Debug)]
pub enum Credentials {
    /// For `Authorization: Basic`.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// For `Authorization: Bearer`.
    Token(SecretString),
}

/// How to reach the manager.
#[derive(Debug)]
pub struct Settings {
    /// Base URL.
    pub url: Url,
    /// Who asks.
    pub credentials: Credentials,
    /// PEM of the certificate authorities to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
}

impl Settings {
    /// Reads what the options point to, and asks for the password when nothing gives it.
    pub fn resolve(args: &ConnectionArgs) -> Result<Self, Error> {
        // A mistake in the URL is told before anybody is asked for a password.
        parse_url(&args.url)?;
        if let Some(file) = token_file(args) {
            return Self::with(args, Credentials::Token(token_from_file(&file)?));
        }
        let file = args.password_file.clone().or_else(|| file_of_environment(PASSWORD_FILE_VARIABLE));
        let password = match (file, std::env::var(PASSWORD_VARIABLE)) {
            (Some(file), _) => secret_from_file(&file)?,
            (None, Ok(password)) => SecretString::from(password),
            (None, Err(_)) => prompt::secret(&format!("Password of {}: ", args.user)).map_err(|_| {
                Error::Usage(format!("no password: give --password-file, or set {PASSWORD_VARIABLE}"))
            })?,
        };
        Self::with(args, Credentials::Password { user: args.user.clone(), password })
    }

    /// The same for what needs no password.
    pub fn anonymous(args: &ConnectionArgs) -> Result<Self, Error> {
        let password = SecretString::from("");
        Self::with(args, Credentials::Password { user: args.user.clone(), password })
    }

    fn with(args: &ConnectionArgs, credentials: Credentials) -> Result<Self, Error> {
        let ca_pem = match &args.ca_file {
            Some(file) => Some(std::fs::read(file).map_err(|e| unreadable(file, &e))?),
            None => None,
        };
        Ok(Self { url: parse_url(&args.url)?, credentials, ca_pem })
    }
}

fn file_of_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// An option wins over the environment, whichever of the two it names.
fn token_file(args: &ConnectionArgs) -> Option<PathBuf> {
    let of_environment = || args.password_file.is_none().then(|| file_of_environment(TOKEN_FILE_VARIABLE));
    args.token_file.clone().or_else(|| of_environment().flatten())
}

fn token_from_file(file: &Path) -> Result<SecretString, Error> {
    let token = secret_from_file(file)?;
    match token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token),
        false => Err(Error::Usage(format!("the first line of {} is not a token", file.display()))),
    }
}

/// Reads a secret from the first line of a file, or of standard input for `-`.
pub(crate) fn secret_from_file(file: &Path) -> Result<SecretString, Error> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|error| unreadable(file, &error))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line)),
        _ => Err(Error::Usage(format!("{} is empty", file.display()))),
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Error {
    Error::Usage(format!("{} cannot be read: {error}", file.display()))
}

fn parse_url(text: &str) -> Result<Url, Error> {
    let refused = |why: &str| Error::Usage(format!("the URL of the manager {why}"));
    if !["http://", "https://"].iter().any(|scheme| text.to_ascii_lowercase().starts_with(scheme)) {
        // What stands before an @ may be a password.
        let found = text.rsplit('@').next().unwrap_or_default();
        let example = "for example https://backup-manager.example";
        return Err(refused(&format!("must begin with http:// or https://, {example}; found {found:?}")));
    }
    let url = Url::parse(text).map_err(|error| refused(&format!("is not valid: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not carry user and password; use --user and --password-file"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_secrets_or_other_schemes_are_refused_and_never_repeated() {
        assert!(parse_url("http://localhost:3000").is_ok());
        for text in ["localhost:3000", "ftp://x", "", "foo"] {
            let error = parse_url(text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().contains("must begin with http:// or https://"), "{error}");
        }
        for text in ["http://admin:s3cret@x", "admin:s3cret@x", "http://admin:s3cret@"] {
            let error = parse_url(text).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_first_line_of_a_file_is_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "s3cret with spaces \nrest").unwrap();
        let secret = secret_from_file(&file).unwrap();
        assert_eq!(secret.expose_secret(), "s3cret with spaces ");
        std::fs::write(&file, "\n").unwrap();
        assert!(secret_from_file(&file).is_err());
    }
}
