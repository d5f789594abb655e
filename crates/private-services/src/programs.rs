//! Finds the programs, or installs Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::bail;
use private_postgres::debian;

/// Program and package; where Debian puts servers that is not always in `PATH`.
const NEEDED: [(&str, &str); 3] = [
    ("/usr/bin/redis-server", "redis-server"),
    ("/usr/sbin/mariadbd", "mariadb-server"),
    ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"),
];

/// The Debian packages whose servers are not on this machine.
#[must_use]
pub fn missing_packages() -> Vec<&'static str> {
    NEEDED.iter().filter(|(program, _)| !Path::new(program).exists()).map(|(_, package)| *package).collect()
}

/// The server of a package, which is installed when it is missing and we are root on Debian.
pub(crate) fn find_or_install(package: &str) -> anyhow::Result<PathBuf> {
    let Some((program, package)) = NEEDED.iter().find(|(_, known)| *known == package) else {
        bail!("{package} is none of the packages known here");
    };
    if !Path::new(program).exists() {
        if !debian::can_install() {
            bail!("{program} is missing; install it, on Debian with: sudo apt-get install {package}");
        }
        debian::install(&[package])?;
    }
    Ok(PathBuf::from(program))
}
