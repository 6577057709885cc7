//! What a scenario can do to a world.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::id::RoomId;
use toom_core::server::PostRates;
use toom_core::server::fact::Fact;

/// A client of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub usize);

/// A TCP connection to the server without a client: the scenario writes its bytes by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawId(pub usize);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Names and passwords.
    pub accounts: Vec<(String, String)>,
    /// How many consecutive failures block.
    pub attempts: u32,
    /// For how long.
    pub block: Duration,
    /// How much one user may post.
    pub post_rates: PostRates,
    /// How long a session whose connection was lost stays active.
    pub grace: Duration,
    /// Whether clients come back by themselves when their connection is lost.
    pub reconnect: bool,
}

/// A file that clients can send.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it has.
    pub content: Downloaded,
}

/// The content of a file, told by its size and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// The size.
    pub bytes: u64,
    /// The hash.
    pub blake3: [u8; 32],
}

/// A server and its clients, somewhere.
pub trait World {
    /// Makes the accounts and starts the server.
    fn start_server(&mut self, setup: &Setup);

    /// Stops the server and starts it again on the same data. All connections are lost.
    fn restart_server(&mut self);

    /// Another process appends a fact to the server's log (as `toom user` does) while the server runs.
    fn append(&mut self, fact: Fact);

    /// A new client, connected, not logged in.
    fn connect(&mut self, accept: AcceptPolicy) -> ClientId;

    /// The same on a device that keeps its key, and what it knows of people, under this name.
    fn connect_on(&mut self, device: &str, accept: AcceptPolicy) -> ClientId;

    /// The person at a client asks for something.
    fn command(&mut self, client: ClientId, command: Command);

    /// What the person was told and no `wait` has taken yet, oldest first.
    fn untaken(&mut self, client: ClientId) -> &mut VecDeque<Event>;

    /// Lets the world go on until the client has a new untaken event. `false` if nothing has come for so long
    /// that nothing will.
    fn fetch(&mut self, client: ClientId) -> bool;

    /// Lets this much time pass: at once in virtual time.
    fn pause(&mut self, time: Duration);

    /// Time since the world began.
    fn elapsed(&self) -> Duration;

    /// The address from which a client is connected.
    fn address(&mut self, client: ClientId) -> IpAddr;

    /// A client is gone at once: its connection is dropped without a word.
    fn kill(&mut self, client: ClientId);

    /// A client's connection breaks. Only where clients come back by themselves.
    fn cut(&mut self, client: ClientId);

    /// The same, and the client cannot make another one until it is let back.
    fn cut_off(&mut self, client: ClientId);

    /// A client that was cut off can connect again.
    fn let_back(&mut self, client: ClientId);

    /// A new connection that has sent nothing; from this address, if one is given.
    fn connect_raw(&mut self, from: Option<IpAddr>) -> RawId;

    /// Begins the handshake on a new connection: what is written from now on are frames, and what arrives too.
    fn greet_raw(&mut self, raw: RawId);

    /// The same on a device that has a name: that of clients on it, too, in a world of real sockets.
    fn greet_raw_on(&mut self, raw: RawId, device: &str);

    /// Writes bytes, which may meet a connection that the server has closed.
    fn write_raw(&mut self, raw: RawId, bytes: &[u8]);

    /// What has arrived on a connection and was not taken.
    fn received_raw(&mut self, raw: RawId) -> &mut Vec<u8>;

    /// Waits until more has arrived; `false` once the server has closed the connection.
    fn fetch_raw(&mut self, raw: RawId) -> bool;

    /// Closes a connection.
    fn close_raw(&mut self, raw: RawId);

    /// A datagram of a stranger arrives at a client's UDP port.
    fn datagram(&mut self, to: ClientId, bytes: &[u8]);

    /// Makes a file of pseudo-random content, which `seed` decides. `path` is relative, and may have folders.
    fn put_file(&mut self, path: &str, bytes: u64, seed: u64) -> TestFile;

    /// Makes a file of zeros, which may be larger than what there is room for if all of it were written.
    fn put_zeros(&mut self, path: &str, bytes: u64) -> PathBuf;

    /// The files in a client's folder of downloads, by name, partial ones included.
    fn downloads(&mut self, client: ClientId) -> BTreeMap<String, Downloaded>;

    /// What the server tells its operator, lately.
    fn activities(&mut self) -> String;

    /// `userlog.txt`.
    fn user_log(&mut self) -> String;

    /// `messagelog.txt`, or a room's; `None` if there is no such file.
    fn message_log(&mut self, room: Option<RoomId>) -> Option<String>;

    /// The size of a file that is large here.
    fn large(&self) -> u64;

    /// How long a block should last here, so that nobody waits long for its end.
    fn block(&self) -> Duration;

    /// What may explain a failure.
    fn report(&mut self) -> String;
}
