//! Where data lives when nobody says where: the XDG base directories.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::exit::Failure;

/// Where a client keeps its device's key and what it knows of servers and people: `toom/client` in the user's data
/// directory, made if it is missing, for its owner only.
pub(crate) fn client() -> Result<PathBuf, Failure> {
    let base = etcetera::choose_base_strategy().map_err(|_| {
        Failure::failed("There is no home directory to keep this device's key in; set HOME or XDG_DATA_HOME.")
    })?;
    let folder = base.data_dir().join("toom").join("client");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        Failure::failed(format!("{} cannot be made to keep this device's key in: {error}.", folder.display()))
    })?;
    Ok(folder)
}

/// The server's data: as given, or `toom/server` in the user's data directory.
pub(crate) fn data(given: Option<&Path>) -> Result<PathBuf, Failure> {
    match given {
        Some(path) if path.as_os_str().is_empty() => Err(Failure::usage("The data directory's name is empty.")),
        Some(path) => Ok(path.to_owned()),
        None => match etcetera::choose_base_strategy() {
            Ok(base) => Ok(base.data_dir().join("toom").join("server")),
            Err(_) => Err(Failure::failed("There is no home directory to keep data in; say where with --data DIR.")),
        },
    }
}
