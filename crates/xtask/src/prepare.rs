//! What a machine with only Rust lacks: a C compiler, PostgreSQL's client library and server programs; for the tests of the
//! agent's drivers, MariaDB, Redis and RabbitMQ; for those of the stored forms, the programs that read and write them; for two
//! tests, a Python that can make virtual environments and one that can decrypt; and for some, a library that moves the
//! clocks of programs.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::bail;
use private_postgres::clock::Clock;
use private_postgres::{Binaries, debian};

use crate::run::is_there;
use crate::schemathesis;

/// Makes sure that everything is there for the build, the demo and chaos runs: installs what is missing when we are root on
/// Debian. Tells when clocks cannot be moved for want of `libfaketime`: what does that is skipped then.
///
/// # Errors
/// Naming what to install, when we cannot.
pub fn prepare() -> anyhow::Result<()> {
    provide(missing_packages)?;
    if let Err(error) = Clock::install() {
        println!("SKIPPED, in tests and chaos runs: clocks that jump. {error:#}");
    }
    Ok(())
}

/// Makes sure that everything for the tests is there as well.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_for_tests() -> anyhow::Result<()> {
    prepare()?;
    provide(|| {
        // Backups are exchanged with them in tests, and docs/disaster-recovery.md is executed.
        let mut packages: Vec<_> =
            PUBLIC_PROGRAMS.iter().filter(is_absent).map(|(_, package)| *package).collect();
        // Tests look into /usr/bin first: any other Python may lack what Debian packages.
        if !is_there("/usr/bin/python3", &["-c", "import cryptography"]) {
            packages.push("python3-cryptography");
        }
        // Elsewhere the tests that need them are skipped, or say what to install.
        if debian::can_install() {
            if !schemathesis::has_python() {
                packages.extend(["python3", "python3-venv"]);
            }
            packages.extend(private_services::missing_packages());
        }
        packages
    })
}

/// Makes sure that everything for benchmarks is there as well: `wrk` loads the API. (`pgbench` comes with PostgreSQL.)
///
/// # Errors
/// As [`prepare`].
pub fn prepare_for_benchmarks() -> anyhow::Result<()> {
    provide(|| {
        let mut packages = missing_packages();
        // Peers of the agent.
        let peers = [("age", "age"), ("restic", "restic"), ("zstd", "zstd")];
        packages.extend(peers.iter().filter(is_absent).map(|(_, package)| *package));
        // Without a URL it fails, but it has told its version.
        if Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
        {
            packages.push("wrk");
        }
        packages
    })
}

fn provide(missing_packages: impl Fn() -> Vec<&'static str>) -> anyhow::Result<()> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    if !debian::can_install() {
        bail!(
            "missing on this machine; run:\n\n    sudo apt-get update && sudo apt-get install {}\n\n(or what your system calls them)",
            missing.join(" ")
        );
    }
    debian::install(&missing)?;
    match missing_packages().as_slice() {
        [] => Ok(()),
        still => bail!("installed, but still not usable: {}", still.join(" ")),
    }
}

/// Programs that read and write the stored forms, and Debian's packages of them.
const PUBLIC_PROGRAMS: [(&str, &str); 6] = [
    ("age", "age"),
    ("zstd", "zstd"),
    ("openssl", "openssl"),
    ("gzip", "gzip"),
    ("jq", "jq"),
    ("script", "bsdutils"),
];

fn is_absent((program, _): &&(&str, &str)) -> bool {
    !is_there(program, &["--version"]) && !is_there(program, &["version"])
}

fn missing_packages() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if !is_there("cc", &["--version"]) {
        packages.extend(["gcc", "libc6-dev"]);
    }
    if std::env::var_os("PQ_LIB_DIR").is_none() && !has_libpq() {
        packages.push("libpq-dev");
    }
    if Binaries::find().is_none() {
        packages.push("postgresql");
    }
    packages
}

/// Asks the linker, as the build will.
fn has_libpq() -> bool {
    let linked = Command::new("cc")
        .args(["-x", "c", "-", "-lpq", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .and_then(|mut compiler| {
            if let Some(mut input) = compiler.stdin.take() {
                input.write_all(b"int main(void) { return 0; }\n")?;
            }
            compiler.wait()
        });
    linked.is_ok_and(|status| status.success())
}
