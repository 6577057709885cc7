//! How a command becomes a client of a server.

use std::path::{Path, PathBuf};

use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::config::{ClientConfig, TransferConfig};

use crate::args::{Global, LoginArgs};
use crate::exit::Failure;
use crate::runtime::Client;
use crate::trust::{self, Trust};
use crate::{dirs, random};

/// Everything that is to be known before a connection is made.
pub(crate) struct Plan {
    config: ClientConfig,
    /// Holds the device's key, the servers and the people that are known here.
    folder: PathBuf,
    trust: Trust,
}

impl Plan {
    /// A client of `server`, whose received files go to `downloads`.
    pub(crate) fn new(
        server: &str,
        login: &LoginArgs,
        downloads: PathBuf,
        accept: AcceptPolicy,
        transfers: TransferConfig,
        global: &Global,
    ) -> Result<Plan, Failure> {
        let folder = dirs::client()?;
        let config = ClientConfig {
            server: server.to_owned(),
            udp_port: login.udp_port,
            downloads,
            accept,
            device: trust::device_key(&folder)?,
            server_key: None,
            known_people: Some(folder.join("known_people")),
            seed: random::bytes()?,
            reconnect: true,
            transfers,
        };
        check_directory(&config.downloads)?;
        Ok(Plan { config, folder, trust: Trust::or_default(login.trust, global) })
    }

    /// Connects; each connection that is tried has its own `on_event`.
    pub(crate) fn connect<E: FnMut(Event) + Send + 'static>(
        self,
        global: &Global,
        on_event: impl Fn() -> E,
    ) -> Result<Client, Failure> {
        trust::connect(global, &self.folder, self.trust, self.config, on_event)
    }
}

fn check_directory(downloads: &Path) -> Result<(), Failure> {
    let missing = || Failure::failed(format!("There is no download directory {}.", downloads.display()));
    downloads.is_dir().then_some(()).ok_or_else(missing)
}
