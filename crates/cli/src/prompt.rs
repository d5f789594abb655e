//! Questions to the person at the terminal; where nobody sits there, nothing is asked.

use std::io::{BufRead, IsTerminal, Write};

use console::Term;
use secrecy::SecretString;

use crate::error::Error;

/// Asks for a secret without echo; an error when there is no terminal.
pub(crate) fn secret(question: &str) -> Result<SecretString, Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage("there is no terminal to ask at".into()));
    }
    let terminal = Term::stderr();
    terminal.write_str(question)?;
    Ok(SecretString::from(terminal.read_secure_line()?))
}

/// Asks before something that cannot be undone. Scripts are not asked: where there is no terminal, the command line
/// itself is the answer.
pub(crate) fn confirm(question: &str, is_confirmed: Confirmed) -> Result<(), Error> {
    if is_confirmed == Confirmed::Yes || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let mut terminal = std::io::stderr();
    write!(terminal, "{question} [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Usage("nothing was changed".into())),
    }
}

/// Whether `--yes` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmed {
    /// It was.
    Yes,
    /// Ask.
    NotYet,
}

impl From<bool> for Confirmed {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::NotYet }
    }
}
