//! Where data lives when nobody says where: the XDG base directories.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::exit::Failure;

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
