//! The programs of a server, which only a rehearsal needs.

use std::path::{Path, PathBuf};

use crate::drivers::{DriverError, Trouble};

const INSTALL: &str = "mariadb-install-db";
const SERVER: &str = "mariadbd";
/// Below the directory above that of the client programs. Packages and archives differ in this.
const PLACES: [&str; 4] = ["bin", "sbin", "libexec", "scripts"];
/// The root that is compiled into the programs of packages.
const USUAL: &str = "/usr";

/// Where they are.
pub(super) struct ServerPrograms {
    /// Makes the files of an empty server.
    pub(super) install: PathBuf,
    pub(super) server: PathBuf,
    /// Where they have their files, unless it is the usual place.
    pub(super) base: Option<PathBuf>,
}

impl ServerPrograms {
    /// Those that belong to the client programs in `clients`.
    pub(super) fn find(clients: &Path) -> Result<Self, DriverError> {
        let root = clients.parent().unwrap_or(clients);
        let mut places = vec![clients.to_owned()];
        places.extend(PLACES.iter().map(|place| root.join(place)).filter(|place| place != clients));
        let find = |name: &str| places.iter().map(|place| place.join(name)).find(|path| path.is_file());
        let (Some(install), Some(server)) = (find(INSTALL), find(SERVER)) else {
            let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
            let message = format!(
                "the server programs ({INSTALL}, {SERVER}) are not in {}; install the package mariadb-server",
                places.join(", ")
            );
            return Err(DriverError::of(Trouble::ProgramMissing, message));
        };
        let base = (root != Path::new(USUAL)).then(|| root.to_owned());
        Ok(Self { install, server, base })
    }
}
