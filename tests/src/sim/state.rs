//! What a world is like at the moment.

use std::path::Path;

use super::client::ClientNode;
use super::disk::Disk;
use super::server::ServerNode;
use super::world::Simulation;

impl Simulation {
    /// Whether the server's process runs.
    pub fn server_is_up(&self) -> bool {
        self.server.is_some()
    }

    /// How many connections the server has, greeted or not.
    pub fn server_connections(&self) -> usize {
        self.server.as_ref().map_or(0, ServerNode::connections)
    }

    /// How many users are active, as the server's text log has it.
    pub fn active_sessions(&self) -> usize {
        self.server.as_ref().map_or(0, |server| server.text_logs().active().len())
    }

    /// How many clients there were so far, dead ones included: their numbers are from 0 to this, exclusive.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Whether a client's process runs.
    pub fn is_alive(&self, client: usize) -> bool {
        self.alive(client).is_some()
    }

    /// Whether a client runs and neither end has closed its connection, as far as it knows.
    pub fn client_connection_is_open(&self, client: usize) -> bool {
        self.alive(client).is_some_and(ClientNode::is_connected)
    }

    /// A client's disk, also after its end: what it received, and the partial files that it left.
    ///
    /// # Panics
    ///
    /// If there never was such a client.
    pub fn disk_of(&self, client: usize) -> &Disk {
        let left = || self.remains.get(&client).map(|remains| &remains.disk);
        self.alive(client).map(ClientNode::disk).or_else(left).expect("a client that was started")
    }

    /// The files that clients can send.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(|path| path.as_path())
    }

    fn alive(&self, client: usize) -> Option<&ClientNode> {
        self.clients.get(client).and_then(Option::as_ref)
    }
}
