//! What an attack has: the server's address and key, people, and how large it should be.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use toom_core::name::UserName;
use toom_core::secure::{HashCost, Password, PasswordHash, PublicKey};
use toom_core::server::fact::Fact;
use toom_core::wire::message::{LoginRefusal, ReplyBody, RequestBody};

use super::Options;
use super::processes::{ClientProcess, PATIENCE};
use super::report::Outcome;
use super::stranger::{Stranger, connect};

/// Everybody's password is their name. `yoda` and `luke` are the bystanders, `leia` is the newcomer, `rey` is whom
/// others try to pose as; `mallory`, `maul` and `sloth` attack, `han` and `chewie` move files.
const PEOPLE: [&str; 9] = ["yoda", "luke", "leia", "rey", "mallory", "maul", "sloth", "han", "chewie"];

/// Enough for the largest room, and some more.
pub(super) const CROWD: usize = 270;

/// How much smaller everything is in a short run.
const SHORTER: usize = 20;

/// One server and its surroundings.
pub(super) struct Arena<'a> {
    pub(super) options: &'a Options,
    pub(super) runtime: &'static str,
    /// Holds everything.
    pub(super) dir: &'a Path,
    pub(super) server: SocketAddr,
    pub(super) key: PublicKey,
    /// How many strangers the server has closed to make room.
    pub(super) made_room: Arc<AtomicU64>,
    /// The bystanders' ports for datagrams.
    pub(super) udp_ports: [u16; 2],
}

/// The facts that make the accounts. Logins of the crowd are cheap, all others cost what they should.
pub(super) fn accounts() -> Vec<Fact> {
    let account = |name: &str, cost| Fact::AccountAdded {
        name: UserName::new(name).expect("a name"),
        hash: PasswordHash::new(&Password(name.into()), [7; 16], cost),
    };
    let people = PEOPLE.map(|name| account(name, HashCost::Standard));
    people.into_iter().chain((0..CROWD).map(|number| account(&crowd(number), HashCost::Trivial))).collect()
}

/// One of the crowd.
pub(super) fn crowd(number: usize) -> String {
    format!("crowd-{number:03}")
}

impl Arena<'_> {
    /// A connection from this address.
    pub(super) fn connect(&self, from: IpAddr) -> io::Result<TcpStream> {
        connect(self.server, from)
    }

    /// A connection from this address, past the handshake.
    pub(super) fn stranger(&self, from: IpAddr) -> io::Result<Stranger> {
        Stranger::greet(self.connect(from)?, self.key)
    }

    /// A session, as soon as an earlier one of this user has ended.
    pub(super) fn session(&self, name: &str, from: IpAddr) -> io::Result<Stranger> {
        let give_up = Instant::now() + PATIENCE;
        let mut stranger = self.stranger(from)?;
        loop {
            match stranger.login(name, name)? {
                ReplyBody::Welcome { .. } => return Ok(stranger),
                ReplyBody::LoginFailed(LoginRefusal::AlreadyActive) if Instant::now() < give_up => {
                    thread::sleep(Duration::from_millis(10));
                }
                other => return Err(io::Error::other(format!("{name} cannot log in: {other:?}"))),
            }
        }
    }

    /// Somebody connects, logs in and out; how long the way in took.
    pub(super) fn newcomer(&self, from: IpAddr) -> io::Result<Duration> {
        let begun = Instant::now();
        let mut newcomer = self.session("leia", from)?;
        let took = begun.elapsed();
        match newcomer.ask(RequestBody::Logout)? {
            ReplyBody::Bye => Ok(took),
            other => Err(io::Error::other(format!("leia cannot log out: {other:?}"))),
        }
    }

    /// A real client, in a home of its own.
    pub(super) fn client(&self, name: &str, more: &[&str]) -> io::Result<ClientProcess> {
        let (server, home) = (self.server.to_string(), self.folder()?);
        ClientProcess::start(&self.options.toom, self.runtime, &home, &server, name, more)
    }

    /// A new folder.
    pub(super) fn folder(&self) -> io::Result<PathBuf> {
        Ok(tempfile::tempdir_in(self.dir)?.keep())
    }

    /// Random numbers of the attack's own.
    pub(super) fn random(&self, stream: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.options.seed.wrapping_add(stream << 32))
    }

    /// So many in a whole run, fewer in a short one.
    pub(super) fn scaled(&self, count: usize) -> usize {
        if self.options.short { count.div_ceil(SHORTER) } else { count }
    }

    /// Every one of many in a whole run, every `step`th in a short one.
    pub(super) fn step(&self, step: usize) -> usize {
        if self.options.short { step } else { 1 }
    }
}

/// Waits until `ready`; whether it came to that.
pub(super) fn eventually(mut ready: impl FnMut() -> bool) -> bool {
    let give_up = Instant::now() + PATIENCE;
    while !ready() {
        if Instant::now() > give_up {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Does the same on several threads, each with its number, and adds up what came of it.
pub(super) fn on_threads(
    count: usize,
    outcome: &mut Outcome,
    work: impl Fn(usize, &mut Outcome) -> io::Result<()> + Sync,
) {
    let work = &work;
    let outcomes: Vec<_> = thread::scope(|scope| {
        let run = |number| {
            scope.spawn(move || {
                let mut own = Outcome::default();
                let result = work(number, &mut own);
                own.must("the attack goes on", result);
                own
            })
        };
        let threads: Vec<_> = (0..count).map(run).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    for own in outcomes {
        match own {
            Ok(own) => outcome.merge(own),
            Err(_) => outcome.fault("the attack itself panicked"),
        }
    }
}
