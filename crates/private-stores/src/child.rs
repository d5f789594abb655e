//! A server program of a test: started through `setpriv`, so that it ends with its parent however that ends, and ready
//! when it has told its address.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;

const START: Duration = Duration::from_secs(60);

/// A running program; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

/// The program that `cargo xtask test` installs at this place below the target directory's `tools`; none when it is not
/// there.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    this.ancestors().map(|folder| folder.join("tools").join(program)).find(|path| path.exists())
}

impl Server {
    /// Starts a program and waits until one of its lines has an address behind `before`.
    pub(crate) fn start(program: &Path, arguments: &[&str], before: &str) -> anyhow::Result<Self> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig=KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("setpriv cannot be started")?;
        let (sender, lines) = mpsc::channel();
        let output = child.stdout.take().context("no output")?;
        let errors = child.stderr.take().context("no errors")?;
        let streams: [Box<dyn std::io::Read + Send>; 2] = [Box::new(output), Box::new(errors)];
        for reader in streams {
            let sender = sender.clone();
            // Read to the end, so that the program never waits for a reader.
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        drop(sender);
        let mut said = String::new();
        let mut server = Self { child, url: String::new() };
        while let Ok(line) = lines.recv_timeout(START) {
            if let Some((_, url)) = line.split_once(before) {
                server.url = url.split_whitespace().next().unwrap_or_default().to_owned();
                return Ok(server);
            }
            said.push_str(&line);
            said.push('\n');
        }
        anyhow::bail!("{} does not start:\n{said}", program.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whatever happens here, the program ends with this process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
