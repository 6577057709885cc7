//! Random logins at a server machine, without any network: failures, blocks, restarts, crashes, and clocks that
//! jump, under every checker.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use toom_core::id::{CheckId, ConnectionId, LogIndex, RequestId, Ticket};
use toom_core::machine::Machine;
use toom_core::secure::Password;
use toom_core::server::fact::{Committed, Fact};
use toom_core::server::io::{Input, Output};
use toom_core::server::{Server, Settings};
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::limits::{MAX_PASSWORD_CHECKS, MAX_UNKNOWN_NAMES};
use toom_core::wire::message::{Request, RequestBody};
use toom_tests::invariants::{Observation, Watch, every_checker};
use toom_tests::scenario::steps::{hash_of, password_of, user};

/// Two with an account from the start, and one without.
const NAMES: [&str; 3] = ["yoda", "luke", "nobody"];

/// Connections at the same time.
const CONNECTIONS: u64 = 4;

/// Connections of one address, of those that are not given one.
const PER_ADDRESS: u64 = 40;

/// What happens next. Names and connections are meant modulo how many there are.
#[derive(Clone, Debug)]
enum Act {
    /// Somebody tries to log in.
    Login { connection: u64, name: usize, right: bool },
    /// A connection ends, and a new one takes its place.
    HangUp { connection: u64 },
    /// A password check comes back, not always in order.
    Check { which: usize },
    /// The first proposal is committed.
    Commit,
    /// The first proposal fails.
    Fail,
    /// An account is made, removed, or gets another password.
    Account { name: usize, change: Change },
    /// Time passes.
    Wait { milliseconds: u64 },
    /// The wall clock jumps.
    Jump { milliseconds: i64 },
    /// The server ends and starts; so many proposals reached the disk nevertheless.
    Restart { survive: usize },
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Add,
    Remove,
    Password,
}

fn act() -> impl Strategy<Value = Act> {
    let hour = 3_600_000i64;
    prop_oneof![
        12 => (0..CONNECTIONS, 0..NAMES.len(), prop::bool::weighted(0.25))
            .prop_map(|(connection, name, right)| Act::Login { connection, name, right }),
        3 => (0..CONNECTIONS).prop_map(|connection| Act::HangUp { connection }),
        12 => any::<usize>().prop_map(|which| Act::Check { which }),
        4 => Just(Act::Commit),
        1 => Just(Act::Fail),
        1 => (0..NAMES.len(), prop_oneof![Just(Change::Add), Just(Change::Remove), Just(Change::Password)])
            .prop_map(|(name, change)| Act::Account { name, change }),
        3 => prop_oneof![0u64..2_000, Just(5_000), Just(9_999), Just(10_000)]
            .prop_map(|milliseconds| Act::Wait { milliseconds }),
        1 => prop_oneof![-hour..hour, -9_000i64..9_000].prop_map(|milliseconds| Act::Jump { milliseconds }),
        1 => (0usize..3).prop_map(|survive| Act::Restart { survive }),
    ]
}

/// A server, what it waits for, and who watches.
struct World {
    settings: Settings,
    server: Server,
    watch: Watch,
    now: Instant,
    wall: Timestamp,
    log: Vec<Committed>,
    proposals: VecDeque<(Ticket, Fact)>,
    checks: Vec<(CheckId, bool)>,
    /// The connections that are open, by their place.
    connections: [ConnectionId; CONNECTIONS as usize],
    last_connection: u64,
    last_request: u64,
}

impl World {
    fn new(settings: Settings) -> World {
        let mut world = World {
            settings,
            server: server(settings),
            watch: Watch::new(every_checker()),
            now: Instant::ZERO,
            wall: Timestamp::from_millis(1_654_063_200_000),
            log: Vec::new(),
            proposals: VecDeque::new(),
            checks: Vec::new(),
            connections: [ConnectionId(0); CONNECTIONS as usize],
            last_connection: 0,
            last_request: 0,
        };
        for name in &NAMES[..2] {
            let hash = hash_of(&password_of(name));
            world.append(None, Fact::AccountAdded { name: user(name), hash });
        }
        world.start();
        world
    }

    fn start(&mut self) {
        self.server = server(self.settings);
        let log = self.log.clone();
        let starts = Observation::ServerStarts { settings: self.settings, log: &log };
        self.watch.observe(self.now, self.wall, &starts);
        for committed in &log {
            self.tell(Input::Recovered { committed, wall: self.wall });
        }
        self.watch.observe(self.now, self.wall, &Observation::ServerRecovered(&self.server));
        (0..self.connections.len()).for_each(|place| self.connect(place));
    }

    fn tell(&mut self, input: Input<'_>) {
        self.watch.observe(self.now, self.wall, &Observation::ServerHears(&input));
        let mut out = Vec::new();
        self.server.handle(self.now, input, &mut out);
        self.watch.observe(self.now, self.wall, &Observation::ServerHandled(&self.server));
        for output in out {
            self.watch.observe(self.now, self.wall, &Observation::ServerSays(&output));
            match output {
                Output::CheckPassword { check, password, hash } => self.checks.push((check, hash.matches(&password))),
                Output::Propose { ticket, fact } => self.proposals.push_back((ticket, fact)),
                _ => {}
            }
        }
    }

    fn append(&mut self, ticket: Option<Ticket>, fact: Fact) -> Committed {
        let committed = Committed { index: LogIndex(self.log.len() as u64 + 1), ticket, fact };
        self.log.push(Committed { ticket: None, ..committed.clone() });
        committed
    }

    fn commit(&mut self, ticket: Option<Ticket>, fact: Fact) {
        let committed = self.append(ticket, fact);
        self.watch.observe(self.now, self.wall, &Observation::Durable(&committed));
        self.tell(Input::Committed { committed, wall: self.wall });
    }

    /// A few connections come from one address, and the next few from another.
    fn connect(&mut self, place: usize) {
        let number = u32::try_from(self.last_connection / PER_ADDRESS).expect("few connections");
        self.connect_from(place, Ipv4Addr::from_bits(number + 0x0a00_0000).into());
    }

    fn connect_from(&mut self, place: usize, address: IpAddr) {
        self.last_connection += 1;
        let connection = ConnectionId(self.last_connection);
        self.connections[place] = connection;
        let address = SocketAddr::new(address, 1);
        self.tell(Input::Accepted { connection, address });
        let device = toom_core::secure::PublicKey([1; 32]);
        self.tell(Input::Connected { connection, address, device });
    }

    fn login(&mut self, place: usize, name: &str, password: String) {
        self.last_request += 1;
        let (connection, id) = (self.connections[place], RequestId(self.last_request));
        let body = RequestBody::Login { name: name.into(), password: Password(password), udp_port: 9 };
        self.tell(Input::Request { connection, request: Request { id, body }, wall: self.wall });
    }

    fn must_hold(&self) {
        if let Some(broken) = self.watch.broken() {
            panic!("{broken}");
        }
    }

    fn act(&mut self, act: &Act) {
        let wall = self.wall;
        match *act {
            Act::Login { connection, name, right } => {
                let password = if right { password_of(NAMES[name]) } else { "wrong".into() };
                self.login(connection as usize, NAMES[name], password);
            }
            Act::HangUp { connection } => {
                let place = connection as usize;
                self.tell(Input::Disconnected { connection: self.connections[place], wall });
                self.connect(place);
            }
            Act::Check { which } if !self.checks.is_empty() => {
                let (check, matches) = self.checks.remove(which % self.checks.len());
                self.tell(Input::PasswordChecked { check, matches, wall });
            }
            Act::Commit => {
                if let Some((ticket, fact)) = self.proposals.pop_front() {
                    self.commit(Some(ticket), fact);
                }
            }
            Act::Fail => {
                if let Some((ticket, _)) = self.proposals.pop_front() {
                    self.tell(Input::ProposalFailed { ticket });
                }
            }
            Act::Account { name, change } => self.account(NAMES[name], change),
            Act::Wait { milliseconds } => {
                let time = Duration::from_millis(milliseconds);
                (self.now, self.wall) = (self.now + time, self.wall.saturating_add(time));
                self.tell(Input::Woke { wall: self.wall });
            }
            Act::Jump { milliseconds } => self.wall = Timestamp::from_millis(wall.as_millis() + milliseconds),
            Act::Restart { survive } => {
                self.watch.observe(self.now, self.wall, &Observation::ServerEnds(&self.server));
                self.checks.clear();
                for (_, fact) in core::mem::take(&mut self.proposals).into_iter().take(survive) {
                    self.append(None, fact);
                }
                self.start();
            }
            Act::Check { .. } => {}
        }
    }

    fn account(&mut self, name: &str, change: Change) {
        let name = user(name);
        let hash = hash_of(&password_of(name.as_str()));
        self.commit(
            None,
            match change {
                Change::Add => Fact::AccountAdded { name, hash },
                Change::Remove => Fact::AccountRemoved { name },
                Change::Password => Fact::PasswordChanged { name, hash: hash_of("another password") },
            },
        );
    }
}

fn server(settings: Settings) -> Server {
    Server::new(settings, hash_of("decoy"), [3; 32])
}

fn settings() -> impl Strategy<Value = Settings> {
    let block = prop_oneof![9 => Just(TEN_SECONDS), 1 => Just(Duration::ZERO)];
    (1u32..=5, block).prop_map(|(attempts, block)| Settings {
        attempts,
        block,
        grace: Duration::ZERO,
        ..Settings::default()
    })
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

#[test]
fn guessing_names_is_bounded_and_pushes_out_the_oldest_guess_only() {
    let mut world =
        World::new(Settings { attempts: 2, block: TEN_SECONDS, grace: Duration::ZERO, ..Settings::default() });
    for round in 0..2 {
        for number in 0..MAX_UNKNOWN_NAMES + 50 {
            // The last ones are guessed twice, and blocked.
            for _ in 0..1 + number / MAX_UNKNOWN_NAMES {
                world.act(&Act::HangUp { connection: 0 });
                world.login(0, &format!("guess {number}"), "wrong".into());
                world.act(&Act::Check { which: 0 });
                world.act(&Act::Commit);
            }
        }
        world.must_hold();
        // Two accounts, and the blocks of each round: those of the first one were pushed out.
        assert_eq!(world.log.len(), 2 + 50 * (round + 1));
    }
}

#[test]
fn logins_at_once_are_bounded() {
    let mut world =
        World::new(Settings { attempts: 5, block: TEN_SECONDS, grace: Duration::ZERO, ..Settings::default() });
    for _ in 0..2 {
        for number in 0..MAX_PASSWORD_CHECKS + 50 {
            world.connect(0);
            world.login(0, &format!("guess {}", number / 2), "wrong".into());
        }
        assert_eq!(world.checks.len(), MAX_PASSWORD_CHECKS / 2, "one of each name");
        while !world.checks.is_empty() {
            world.act(&Act::Check { which: 0 });
        }
        world.must_hold();
    }
}

/// Somebody guesses a few passwords of each of many names from one address.
#[test]
fn an_address_from_which_many_names_fail_is_refused_and_nobody_else_is() {
    let mut world =
        World::new(Settings { attempts: 3, block: TEN_SECONDS, grace: Duration::ZERO, ..Settings::default() });
    let guesser: IpAddr = Ipv4Addr::LOCALHOST.into();
    let mut checked = Vec::new();
    for round in 0..250 {
        world.connect_from(1, guesser);
        world.login(1, &format!("guess {round}"), "wrong".into());
        checked.push(!world.checks.is_empty());
        world.act(&Act::Check { which: 0 });
        world.login(0, "yoda", if round % 3 == 0 { password_of("yoda") } else { "mistyped".into() });
        world.act(&Act::Check { which: 0 });
        world.act(&Act::HangUp { connection: 0 });
        world.act(&Act::Wait { milliseconds: 400 });
        world.must_hold();
    }
    // A hundred and one of them within 40.4 s; the next one once the first is a minute old, and so on.
    let expected = |round: usize| round < 101 || (150..251).contains(&round);
    let differs = (0..250).find(|round| checked[*round] != expected(*round));
    assert_eq!(differs, None, "{checked:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn whoever_tries_to_log_in_the_invariants_hold(settings in settings(), acts in vec(act(), 0..150)) {
        let mut world = World::new(settings);
        for (place, act) in acts.iter().enumerate() {
            world.act(act);
            if let Some(broken) = world.watch.broken() {
                panic!("after act {place}, {act:?}: {broken}");
            }
        }
    }
}
