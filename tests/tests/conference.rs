//! People who come, go and talk by chance, on a server that dies and whose disk fails: the conference stays what
//! its model says, and in the end everyone has read everything that was acknowledged.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::id::RoomId;
use toom_core::secure::Password;
use toom_core::server::Settings;
use toom_core::server::fact::Fact;
use toom_core::time::Timestamp;
use toom_core::wire::message::HistoryKind;
use toom_tests::invariants::{Watch, every_checker};
use toom_tests::scenario::steps::{hash_of, user};
use toom_tests::sim::dice::Dice;
use toom_tests::sim::fault::Fault;
use toom_tests::sim::{Options, Simulation};

const NAMES: [&str; 5] = ["yoda", "luke", "leia", "han", "lando"];
const PASSWORD: &str = "secret";
const ACTS: usize = 250;
const SEEDS: u64 = 24;

#[test]
fn the_conference_is_what_its_model_says() {
    for seed in 0..SEEDS {
        play(seed);
    }
}

struct Story {
    simulation: Simulation,
    dice: Dice,
    /// The client that each person has now.
    clients: [usize; NAMES.len()],
}

fn play(seed: u64) {
    let mut options = if seed.is_multiple_of(2) { Options::calm(seed) } else { Options::rough(seed) };
    // Slow enough that people write to somebody, or leave, while what was missed is fetched.
    options.work.query = Duration::from_millis(400);
    let mut simulation = Simulation::new(options);
    *simulation.watch() = Watch::new(every_checker());
    for name in NAMES {
        simulation.append(added(name));
    }
    // Simulated clients do not come back, so sessions end with their connection.
    simulation.start_server(Settings { grace: Duration::ZERO, ..Settings::default() });
    let clients = NAMES.map(|_| simulation.connect(AcceptPolicy::None));
    let mut story = Story { simulation, dice: Dice::new(seed, "people"), clients };
    (0..NAMES.len()).for_each(|person| story.log_in(person));
    for _ in 0..ACTS {
        story.act();
        let pause = if story.dice.chance(0.7) { 5 } else { 600 };
        let pause = story.dice.up_to(Duration::from_millis(pause));
        story.pass(pause);
    }
    story.end();
}

impl Story {
    fn act(&mut self) {
        let person = self.below(NAMES.len());
        let room = RoomId(self.dice.within(1..=5) as u32);
        let other = NAMES[self.below(NAMES.len())].to_owned();
        let text = "x".repeat(self.dice.within(1..=40) as usize);
        let command = match self.dice.within(0..=99) {
            0..=15 => Command::Broadcast { text },
            16..=35 => Command::RoomMessage { room, text },
            36..=50 => Command::DirectMessage { to: other, text },
            51..=56 => Command::BuildRoom { users: vec![other, NAMES[self.below(NAMES.len())].to_owned()] },
            57..=62 => Command::Invite { room, user: other },
            63..=67 => Command::Leave { room },
            68..=72 => Command::History { kind: HistoryKind::Rooms, since: Timestamp::from_millis(0) },
            73..=75 => Command::History { kind: HistoryKind::Broadcast, since: Timestamp::from_millis(0) },
            76..=78 => Command::ActiveUsers,
            79..=80 => Command::Rooms,
            81..=84 => Command::Logout,
            85 => Command::Finish,
            86..=95 => return self.come_again(person),
            96 => return self.account_changes(&other),
            _ => return self.go_wrong(),
        };
        self.simulation.command(self.clients[person], command);
    }

    fn come_again(&mut self, person: usize) {
        if self.dice.chance(0.5) {
            self.simulation.kill(self.clients[person]);
        }
        self.clients[person] = self.simulation.connect(AcceptPolicy::None);
        self.log_in(person);
        self.pass(Duration::from_millis(300));
        let client = self.clients[person];
        match self.dice.within(0..=3) {
            0 => self.simulation.command(client, Command::Finish),
            1 => self.simulation.command(client, Command::Logout),
            _ => {}
        }
    }

    fn account_changes(&mut self, name: &str) {
        self.simulation.append(Fact::AccountRemoved { name: user(name) });
        self.pass(Duration::from_millis(50));
        self.simulation.append(added(name));
    }

    fn go_wrong(&mut self) {
        let after_effects = self.dice.within(0..=20) as u32;
        let fault = match self.dice.within(0..=5) {
            0 => Fault::CrashServer { after_effects, survive: self.dice.within(0..=3) as u32 },
            1 => Fault::CrashClient { client: self.below(NAMES.len()), after_effects },
            2 => Fault::SyncFails,
            3 => Fault::ReadsFail { count: 2 },
            4 => Fault::SlowCommits { time: Duration::from_millis(500) },
            _ => Fault::JumpClock { milliseconds: self.dice.within(0..=7_200_000) as i64 - 3_600_000 },
        };
        self.simulation.inject(&fault);
        let while_it_lasts = self.dice.up_to(Duration::from_secs(2));
        self.pass(while_it_lasts);
        self.simulation.heal();
    }

    /// All is healed, everyone comes again, reads everything and leaves.
    fn end(&mut self) {
        self.simulation.heal();
        self.pass(Duration::from_secs(60));
        for client in 0..self.simulation.clients() {
            self.simulation.kill(client);
        }
        self.pass(Duration::from_secs(60));
        self.clients = NAMES.map(|_| self.simulation.connect(AcceptPolicy::None));
        (0..NAMES.len()).for_each(|person| self.log_in(person));
        self.pass(Duration::from_secs(60));
        let since = Timestamp::from_millis(0);
        for kind in [HistoryKind::Broadcast, HistoryKind::Rooms] {
            self.all(&Command::History { kind, since });
        }
        self.pass(Duration::from_secs(60));
        self.all(&Command::Logout);
        self.pass(Duration::from_secs(60));
        for client in self.clients {
            let events = self.simulation.client(client).events();
            let answers = events.iter().filter(|event| matches!(event, Event::History { .. })).count();
            let gone = matches!(events.back(), Some(Event::Bye { .. }));
            assert_eq!((answers, gone), (2, true), "who comes in the end reads everything: {events:?}");
        }
        let now = self.simulation.now();
        self.simulation.watch().finish(now, Timestamp::from_millis(0));
        self.check();
    }

    fn all(&mut self, command: &Command) {
        for client in self.clients {
            self.simulation.command(client, command.clone());
        }
    }

    fn log_in(&mut self, person: usize) {
        let (name, password) = (NAMES[person].to_owned(), Password(PASSWORD.into()));
        self.simulation.command(self.clients[person], Command::Login { name, password });
    }

    fn pass(&mut self, time: Duration) {
        self.simulation.advance(time);
        self.check();
    }

    fn check(&mut self) {
        if let Some(broken) = self.simulation.watch().broken() {
            panic!("{broken}");
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.dice.within(0..=limit as u64 - 1) as usize
    }
}

fn added(name: &str) -> Fact {
    Fact::AccountAdded { name: user(name), hash: hash_of(PASSWORD) }
}
