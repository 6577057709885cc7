//! How long a refused login takes, of names that have an account and of names that have none, over real TCP.

mod relay;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::config::{ClientConfig, ServerConfig, TransferConfig};
use toom_core::name::UserName;
use toom_core::secure::{HashCost, Password, PasswordHash, PublicKey, SecretKey};
use toom_core::server::PostRates;
use toom_core::server::fact::Fact;
use toom_core::wire::limits::{DEFAULT_ATTEMPTS, DEFAULT_BLOCK};
use toom_core::wire::message::LoginRefusal;

use relay::Relay;

/// Names that are tried on one connection, from one address: fewer than an address may fail for, and soon enough that
/// no connection times out.
const NAMES_PER_CONNECTION: usize = 50;
/// What comes first on a connection is slower, and is not measured: so many tries.
const WARM_UP: usize = 2;
/// A server that is silent for so long is not going to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The times of all tries, in microseconds.
#[derive(Debug, Default)]
pub struct Times {
    /// Of names that have an account.
    pub existing: Vec<f64>,
    /// Of names that have none.
    pub missing: Vec<f64>,
}

/// Tries to log in with a wrong password, `tries` times for each kind of name, each name once, in random order.
/// `tell` hears what is done, and how far it is.
pub fn measure(directory: &Path, tries: usize, seed: u64, mut tell: impl FnMut(&str)) -> Times {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Names of one form in random order: the first half of them is given accounts, and the order of trying is another.
    let mut names: Vec<String> = (0..2 * tries).map(|number| format!("user{number:06}")).collect();
    shuffle(&mut names, &mut random);
    tell(&format!("making {tries} accounts with standard hashes"));
    let facts = accounts(&names[..tries], seed);
    toom_store::log::append(directory, &facts).expect("the log can be written");
    let mut all: Vec<(&str, bool)> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place < tries)).collect();
    shuffle(&mut all, &mut random);

    let server = toom_smol::server::start(config(directory), |_| ()).expect("the server starts");
    let mut relay = Relay::start(server.address());
    let mut times = Times::default();
    for (round, names) in all.chunks(NAMES_PER_CONNECTION).enumerate() {
        relay.next_address();
        let mut person = Person::connect(relay.address(), server.key(), directory, &mut random);
        for warm_up in 0..WARM_UP {
            person.fail(&format!("warm-up-{round}-{warm_up}"));
        }
        for (name, exists) in names {
            let took = person.fail(name).as_secs_f64() * 1e6;
            if *exists { times.existing.push(took) } else { times.missing.push(took) }
        }
        if round % 10 == 9 {
            tell(&format!("{} of {} tries", (round + 1) * NAMES_PER_CONNECTION, all.len()));
        }
    }
    drop(relay);
    server.stop();
    times
}

fn config(directory: &Path) -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().expect("an address"),
        data: directory.to_owned(),
        attempts: DEFAULT_ATTEMPTS,
        block: DEFAULT_BLOCK,
        post_rates: PostRates::default(),
        keep: None,
        grace: Duration::ZERO,
    }
}

/// Accounts with hashes of their own, made on two threads.
fn accounts(names: &[String], seed: u64) -> Vec<Fact> {
    let add = |(place, name): (usize, &String)| {
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&(place as u64).to_le_bytes());
        salt[8..].copy_from_slice(&seed.to_le_bytes());
        let hash = PasswordHash::new(&Password(format!("the right one of {name}")), salt, HashCost::Standard);
        Fact::AccountAdded { name: UserName::new(name).expect("a name"), hash }
    };
    let (first, second) = names.split_at(names.len() / 2);
    thread::scope(|scope| {
        let second = scope.spawn(|| second.iter().enumerate().map(add).collect::<Vec<_>>());
        let mut facts: Vec<Fact> = first.iter().enumerate().map(add).collect();
        facts.extend(second.join().expect("hashes"));
        facts
    })
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
}

/// Somebody who tries to log in.
struct Person {
    client: toom_std::client::Client,
    events: Receiver<(Instant, Event)>,
}

impl Person {
    fn connect(server: SocketAddr, key: PublicKey, directory: &Path, random: &mut ChaCha8Rng) -> Person {
        let (send, events) = channel();
        let (mut seed, mut device) = ([0; 32], [0; 32]);
        random.fill_bytes(&mut seed);
        random.fill_bytes(&mut device);
        let config = ClientConfig {
            server: server.to_string(),
            udp_port: 0,
            downloads: directory.to_owned(),
            accept: AcceptPolicy::None,
            device: SecretKey::new(device),
            server_key: Some(key),
            known_people: None,
            seed,
            reconnect: false,
            transfers: TransferConfig::default(),
        };
        let on_event = move |event| drop(send.send((Instant::now(), event)));
        let client = toom_std::client::start(config, on_event).expect("the server is there");
        Person { client, events }
    }

    /// How long it takes until a login is refused.
    fn fail(&mut self, name: &str) -> Duration {
        let login = Command::Login { name: name.to_owned(), password: Password("a wrong one".into()) };
        let start = Instant::now();
        self.client.command(login);
        match self.events.recv_timeout(PATIENCE) {
            Ok((end, Event::LoginFailed(LoginRefusal::InvalidCredentials))) => end - start,
            other => panic!("a refused login of {name} was expected, not {other:?}"),
        }
    }
}
