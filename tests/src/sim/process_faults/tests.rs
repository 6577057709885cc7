use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, TransferFailure, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::secure::Password;
use toom_core::server::fact::{Conversation, Fact};
use toom_core::server::io::Input;
use toom_core::time::Timestamp;
use toom_core::wire::message::HistoryKind;

use super::*;
use crate::invariants::{Broken, Checker, Moment, Observation, Watch, Woken};
use crate::scenario::steps::{log_in, log_in_with, password_of, start, user};
use crate::scenario::transfer::{arrives, send};
use crate::scenario::{ClientId, World};
use crate::sim::dice::Dice;
use crate::sim::fault::{DiskTrouble, FaultCounts};
use crate::sim::network::Toward;
use crate::sim::options::WorkOptions;
use crate::sim::{Options, SimulatedWorld};

/// More than anything takes on a calm network.
const A_WHILE: Duration = Duration::from_secs(5);

/// What happened since the last look.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Effects of the server: what its machine said and was begun, and answers of the store.
    server: u32,
    /// Effects of clients.
    clients: BTreeMap<usize, u32>,
    wall: Timestamp,
    /// How often machines were woken early, and how much they said then.
    early: BTreeMap<&'static str, (u32, usize)>,
    /// Texts that became durable while the server ran.
    durable: Vec<String>,
}

fn kind(machine: &Woken) -> &'static str {
    match machine {
        Woken::Server => "the server",
        Woken::Client(_) => "a client",
        Woken::Transfers(_) => "the transfers of a client",
        Woken::Link(_, Toward::Server) => "the server's end of a connection",
        Woken::Link(_, Toward::Client) => "a client's end of a connection",
    }
}

#[derive(Clone, Debug, Default)]
struct Recorder(Rc<RefCell<Seen>>);

impl Checker for Recorder {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        let mut seen = self.0.borrow_mut();
        seen.wall = at.wall;
        match what {
            Observation::ServerSays(_)
            | Observation::ServerHears(Input::Committed { .. } | Input::ProposalFailed { .. } | Input::Found { .. }) => {
                seen.server += 1
            }
            Observation::ClientSays(client, _) | Observation::TransfersSay(client, _) => {
                *seen.clients.entry(*client).or_default() += 1;
            }
            Observation::WokenEarly { machine, said } => {
                let (times, sum) = seen.early.entry(kind(machine)).or_default();
                (*times, *sum) = (*times + 1, *sum + said);
            }
            Observation::Durable(committed) => {
                if let Fact::Broadcast { text, .. } = &committed.fact {
                    seen.durable.push(text.clone());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Yoda and Luke, logged in, and who records what happens from here on.
fn two(options: Options) -> (SimulatedWorld, [ClientId; 2], Recorder) {
    let mut world = SimulatedWorld::new(options);
    start(&mut world, &["yoda", "luke"]);
    let clients = ["yoda", "luke"].map(|name| log_in_with(&mut world, name, AcceptPolicy::All));
    world.pause(A_WHILE);
    let recorder = Recorder::default();
    *world.simulation.watch() = Watch::new(vec![Box::new(recorder.clone())]);
    (world, clients, recorder)
}

fn calm() -> (SimulatedWorld, [ClientId; 2], Recorder) {
    two(Options::calm(1))
}

fn say(text: &str) -> Command {
    Command::Broadcast { text: text.into() }
}

fn count(world: &mut SimulatedWorld, kind: FaultKind) -> u64 {
    world.simulation.faults().get(&kind).copied().unwrap_or(0)
}

fn was_sent(world: &mut SimulatedWorld, client: ClientId) -> bool {
    world.untaken(client).iter().any(|event| matches!(event, Event::Sent { .. }))
}

fn broadcasts(world: &SimulatedWorld) -> usize {
    world.simulation.durable().replay().iter().filter(|it| matches!(it.fact, Fact::Broadcast { .. })).count()
}

/// What became of a broadcast of Yoda's, if the server dies after so many effects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    died: bool,
    midway: bool,
    durable: bool,
    confirmed: bool,
    indexed: bool,
}

fn crash_after(effects: u32, survive: u32) -> Outcome {
    let (mut world, [yoda, luke], recorder) = calm();
    world.simulation.inject(&Fault::CrashServer { after_effects: effects, survive });
    world.command(yoda, say("hello"));
    world.pause(A_WHILE);
    let died = !world.simulation.server_is_up();
    if died {
        // An answer of the store at which it died was not heard.
        let unheard = broadcasts(&world) == 1 && count(&mut world, FaultKind::ServerCrashMidway) == 0;
        let seen = recorder.0.borrow().server;
        assert!(seen == effects || (unheard && seen + 1 == effects), "it died after {seen} effects, not {effects}");
        for client in [yoda, luke] {
            assert!(!world.simulation.client_connection_is_open(client.0), "a client saw no end");
        }
    }
    let durable = broadcasts(&world) == 1;
    assert_eq!(recorder.0.borrow().durable.len(), usize::from(durable), "durable, and nobody told");
    let outcome = Outcome {
        died,
        midway: count(&mut world, FaultKind::ServerCrashMidway) == 1,
        durable,
        confirmed: was_sent(&mut world, yoda),
        indexed: world.simulation.durable().messages(&Conversation::Broadcast).count() == 1,
    };
    assert_eq!(count(&mut world, FaultKind::ServerCrash), u64::from(died));
    world.simulation.inject(&Fault::StartServer);
    assert!(world.simulation.server_is_up());
    let indexed = world.simulation.durable().messages(&Conversation::Broadcast).count();
    assert_eq!(indexed, usize::from(durable), "a start repairs the index");
    outcome
}

#[test]
fn the_server_dies_at_every_boundary_of_a_broadcast() {
    let outcomes: Vec<Outcome> = (0..20).map(|effects| crash_after(effects, 0)).collect();
    let alive = outcomes.iter().position(|outcome| !outcome.died).expect("a crash that never comes");
    assert!(alive > 5 && outcomes[alive..].iter().all(|outcome| !outcome.died), "{outcomes:#?}");
    let crashed = &outcomes[..alive];
    let some = |which: fn(&Outcome) -> bool| crashed.iter().any(which);
    assert!(some(|it| !it.durable && !it.midway), "none before the commit");
    assert!(some(|it| it.durable && !it.midway && !it.confirmed), "none between the commit and the machine");
    assert!(some(|it| it.durable && it.midway && !it.confirmed), "none between the record and the reply");
    assert!(some(|it| it.durable && !it.indexed), "none with an index that lags");
    assert!(crashed.iter().all(|it| it.durable || !it.confirmed), "confirmed and lost");
    assert!(outcomes[alive].confirmed && outcomes[alive].indexed);
}

#[test]
fn a_proposal_under_way_may_survive_without_its_answer() {
    let under_way = |survive| crash_after(1, survive);
    assert_eq!(under_way(0), Outcome { died: true, ..Outcome::default() });
    assert_eq!(under_way(1), Outcome { died: true, durable: true, ..Outcome::default() });
}

#[test]
fn of_several_proposals_the_tail_is_torn() {
    let (mut world, [yoda, _], _) = calm();
    world.simulation.inject(&Fault::SlowCommits { time: Duration::from_secs(3_600) });
    for text in ["one", "two", "three"] {
        world.command(yoda, say(text));
    }
    world.pause(A_WHILE);
    world.simulation.inject(&Fault::CrashServer { after_effects: 0, survive: 2 });
    let counted = [FaultKind::ServerCrash, FaultKind::TornTail, FaultKind::LostUnsynced, FaultKind::SlowCommit];
    assert_eq!((broadcasts(&world), counted.map(|kind| count(&mut world, kind))), (2, [1, 1, 1, 1]));
    world.simulation.inject(&Fault::CrashServer { after_effects: 0, survive: 2 });
    assert_eq!(count(&mut world, FaultKind::ServerCrash), 1, "what is down cannot crash");
    world.simulation.heal();
    let luke = log_in(&mut world, "luke");
    let (number, _) = (&mut world as &mut dyn World).broadcast(luke, "four");
    assert_eq!(number.0, 3, "numbers go on after those that survived");
}

#[test]
fn a_crash_that_is_healed_in_time_does_not_happen() {
    let (mut world, [yoda, luke], _) = calm();
    world.simulation.inject(&Fault::CrashServer { after_effects: 2, survive: 0 });
    world.simulation.inject(&Fault::CrashClient { client: luke.0, after_effects: 1 });
    world.simulation.heal();
    let world: &mut dyn World = &mut world;
    world.broadcast(yoda, "hello");
    world.hears(luke, "hello");
}

#[test]
fn a_client_dies_after_so_many_effects_and_the_others_see_it_leave() {
    for effects in 0..6 {
        let (mut world, [yoda, luke], recorder) = calm();
        let file = world.put_file("film.mp4", 300_000, 1);
        // Taken modulo how many there are.
        world.simulation.inject(&Fault::CrashClient { client: luke.0 + 2, after_effects: effects });
        let command = Command::SendFiles { to: "luke".into(), paths: vec![file.path] };
        world.command(yoda, command);
        world.pause(A_WHILE);
        assert_eq!(recorder.0.borrow().clients.get(&luke.0).copied().unwrap_or(0), effects);
        assert!(!world.simulation.is_alive(luke.0) && world.simulation.is_alive(yoda.0));
        assert_eq!(count(&mut world, FaultKind::ClientCrash), 1);
        assert!(world.untaken(yoda).iter().any(|event| matches!(event, Event::Left { .. })), "nobody saw it");
        assert_eq!((world.simulation.active_sessions(), world.simulation.server_connections()), (1, 1));
    }
}

#[test]
fn a_client_that_died_leaves_its_files_and_the_next_one_of_its_person_finds_them() {
    let (mut world, [yoda, luke], _) = calm();
    let whole = world.put_file("whole.bin", 50_000, 1);
    let id = send(&mut world, yoda, "luke", &whole);
    arrives(&mut world, yoda, luke, id, &whole);
    let part = world.put_file("part.bin", 20_000_000, 2);
    send(&mut world, yoda, "luke", &part);
    world.pause(Duration::from_millis(150));
    world.simulation.inject(&Fault::CrashClient { client: luke.0, after_effects: 0 });
    let (before, disk) = (world.simulation.clients(), world.simulation.disk_of(luke.0));
    assert_eq!(disk.downloads().keys().collect::<Vec<_>>(), ["yoda_whole.bin"]);
    assert_eq!(disk.partial_files().map(|(name, _)| name).collect::<Vec<_>>(), ["yoda_part.bin"]);
    let again = world.simulation.connect_from(AcceptPolicy::All, luke.0);
    assert_eq!((again, world.simulation.clients()), (before, before + 1));
    assert_eq!(world.simulation.disk_of(again).downloads(), world.simulation.disk_of(luke.0).downloads());
    let old = world.simulation.remains[&luke.0].address;
    let new = world.simulation.client(again).address();
    assert!(old.ip() == new.ip() && old.port() != new.port());
}

#[test]
fn on_a_full_disk_nothing_is_confirmed_until_all_is_healed() {
    for (fault, kind) in [(Fault::DiskFull, FaultKind::DiskFull), (Fault::SyncFails, FaultKind::FailedSync)] {
        let (mut world, [yoda, luke], _) = calm();
        world.simulation.inject(&fault);
        for _ in 0..2 {
            assert_eq!((&mut world as &mut dyn World).fails(yoda, say("hello")), Failure::StorageFailed);
        }
        assert_eq!((broadcasts(&world), count(&mut world, kind)), (0, 2));
        world.simulation.heal();
        world.pause(A_WHILE);
        assert!(world.simulation.server_is_up() && !world.simulation.client_connection_is_open(luke.0));
        let yoda = log_in(&mut world, "yoda");
        (&mut world as &mut dyn World).broadcast(yoda, "hello again");
    }
}

#[test]
fn a_full_disk_that_nobody_wrote_to_needs_no_restart() {
    let (mut world, [yoda, _], _) = calm();
    world.simulation.inject(&Fault::DiskFull);
    assert!(!world.simulation.append(Fact::AccountRemoved { name: user("luke") }));
    world.simulation.heal();
    (&mut world as &mut dyn World).broadcast(yoda, "hello");
}

#[test]
fn history_that_cannot_be_read_is_refused_and_then_read() {
    let (mut world, [yoda, _], _) = calm();
    let shown: &mut dyn World = &mut world;
    shown.broadcast(yoda, "hello");
    world.simulation.inject(&Fault::ReadsFail { count: 1 });
    let read = Command::History { kind: HistoryKind::Broadcast, since: Timestamp::default() };
    let shown: &mut dyn World = &mut world;
    assert_eq!(shown.fails(yoda, read.clone()), Failure::StorageFailed);
    shown.command(yoda, read);
    shown.wait(yoda, "the history", |event| matches!(event, Event::History { .. }));
    assert_eq!(count(&mut world, FaultKind::ReadError), 1);
}

#[test]
fn the_clock_jumps_to_the_ends_of_time_and_stays_there_over_restarts() {
    for jumps in [&[3_600_000][..], &[-3_600_000], &[i64::MAX, i64::MAX], &[i64::MIN, i64::MIN]] {
        let (mut world, _, recorder) = calm();
        for milliseconds in jumps {
            world.simulation.inject(&Fault::JumpClock { milliseconds: *milliseconds });
        }
        world.restart_server();
        let yoda = log_in(&mut world, "yoda");
        (&mut world as &mut dyn World).broadcast(yoda, "hello");
        let elapsed = i64::try_from(world.elapsed().as_millis()).expect("a short run");
        let expected = jumps.iter().fold(Options::calm(1).epoch.as_millis(), |at, by| at.saturating_add(*by));
        assert_eq!(recorder.0.borrow().wall.as_millis(), expected.saturating_add(elapsed));
        assert_eq!(count(&mut world, FaultKind::ClockJump), jumps.len() as u64);
    }
}

/// Any fault of a process, a disk or a clock.
fn any_fault(dice: &mut Dice) -> Fault {
    let mut number = |most: u64| dice.within(0..=most);
    let troubles = [DiskTrouble::Slow, DiskTrouble::ReadsFail, DiskTrouble::WritesFail, DiskTrouble::SourcesChange];
    let (client, after_effects) = (number(9) as usize, number(15) as u32);
    match number(14) {
        0 => Fault::SlowCommits { time: Duration::from_millis(number(3_000)) },
        1 => Fault::DiskFull,
        2 => Fault::SyncFails,
        3 => Fault::ReadsFail { count: number(3) as u32 },
        4 | 5 => Fault::CrashServer { after_effects, survive: number(3) as u32 },
        6 | 7 => Fault::StartServer,
        8 => Fault::CrashClient { client, after_effects },
        9 => Fault::JumpClock { milliseconds: number(7_200_000) as i64 - 3_600_000 },
        _ => Fault::ClientDisk { client, trouble: troubles[number(3) as usize] },
    }
}

/// Somebody does something, or comes back.
fn act(simulation: &mut Simulation, client: &mut usize, name: &str, path: &Path, dice: &mut Dice) {
    if !simulation.client_connection_is_open(*client) {
        *client = simulation.connect_from(AcceptPolicy::All, *client);
        let password = Password(password_of(name));
        simulation.command(*client, Command::Login { name: name.into(), password });
    }
    let file = Command::SendFiles { to: "luke".into(), paths: vec![path.to_owned()] };
    let history = Command::History { kind: HistoryKind::Broadcast, since: Timestamp::default() };
    for command in [say("one"), say("two"), say("three"), file, history] {
        if dice.chance(0.5) {
            simulation.command(*client, command);
        }
    }
}

/// Half a minute of faults, with people who talk, send and come back; then all is healed, and two of them talk.
fn bad_day(seed: u64) -> (FaultCounts, (u64, [u8; 32])) {
    let work = WorkOptions { early_wakes: 0.1, ..WorkOptions::default() };
    let (mut world, clients, _) = two(Options { work, ..Options::rough(seed) });
    let path = world.put_file("film.mp4", 60_000, seed).path;
    let mut people = clients.map(|client| client.0);
    let mut dice = Dice::new(seed, "a bad day");
    for _ in 0..60 {
        for (client, name) in people.iter_mut().zip(["yoda", "luke"]) {
            act(&mut world.simulation, client, name, &path, &mut dice);
        }
        if dice.chance(0.3) {
            world.simulation.inject(&any_fault(&mut dice));
        }
        world.pause(dice.up_to(Duration::from_secs(1)));
    }
    world.simulation.heal();
    for client in 0..world.simulation.clients() {
        world.simulation.kill(client);
    }
    world.pause(A_WHILE);
    assert_eq!((world.simulation.active_sessions(), world.simulation.server_connections()), (0, 0));
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(&mut world, name));
    let shown: &mut dyn World = &mut world;
    shown.broadcast(yoda, "good evening");
    shown.hears(luke, "good evening");
    (world.simulation.faults().clone(), world.simulation.trace().digest())
}

#[test]
fn any_faults_can_be_carried_out_healed_and_repeated() {
    let mut counts = FaultCounts::new();
    for seed in 0..40 {
        let (faults, digest) = bad_day(seed);
        if seed < 5 {
            assert_eq!((&faults, digest), (&bad_day(seed).0, bad_day(seed).1), "seed {seed} does not repeat");
        }
        for (kind, count) in faults {
            *counts.entry(kind).or_default() += count;
        }
    }
    let kinds = FaultKind::ALL.iter().skip_while(|kind| **kind != FaultKind::SlowCommit);
    let missing: Vec<_> = kinds.filter(|kind| !counts.contains_key(kind)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}

/// How a transfer of Yoda's ends at both ends.
fn transfer_with(trouble: DiskTrouble, at: usize, options: Options) -> ([TransferState; 2], FaultCounts) {
    let (mut world, clients, _) = two(options);
    world.simulation.inject(&Fault::ClientDisk { client: at, trouble });
    let file = world.put_file("film.mp4", 2_000_000, 1);
    world.command(clients[0], Command::SendFiles { to: "luke".into(), paths: vec![file.path] });
    let ends = clients.map(|client| {
        (&mut world as &mut dyn World).pick(client, "the end of the transfer", |event| match event {
            Event::Transfer(transfer) => match &transfer.state {
                TransferState::Done { .. } | TransferState::Failed(_) => Some(transfer.state.clone()),
                _ => None,
            },
            _ => None,
        })
    });
    (ends, world.simulation.faults().clone())
}

#[test]
fn a_receiver_that_cannot_write_tells_the_sender() {
    let (ends, faults) = transfer_with(DiskTrouble::WritesFail, 1, Options::calm(1));
    let [TransferState::Failed(sender), TransferState::Failed(receiver)] = ends else { panic!("{ends:?}") };
    assert_eq!(sender, TransferFailure::PeerStorage);
    assert!(matches!(receiver, TransferFailure::Write(_)), "{receiver:?}");
    assert!(faults[&FaultKind::ClientWriteError] > 0);
}

#[test]
fn a_slow_disk_makes_a_transfer_late_only() {
    for at in [0, 1] {
        let (ends, faults) = transfer_with(DiskTrouble::Slow, at, Options::calm(1));
        assert!(ends.iter().all(|end| matches!(end, TransferState::Done { .. })), "{ends:?}");
        assert!(faults[&FaultKind::SlowDisk] > 0);
    }
}

#[test]
fn a_file_that_changes_while_it_is_sent_again_is_found_by_its_hash() {
    // With loss, so that ranges are read twice.
    let (ends, faults) = transfer_with(DiskTrouble::SourcesChange, 0, Options::rough(1));
    assert!(faults[&FaultKind::SourceChange] > 0);
    assert!(ends.contains(&TransferState::Failed(TransferFailure::Integrity)), "{ends:?}");
}

#[test]
fn machines_that_are_woken_early_have_nothing_to_say() {
    let work = WorkOptions { early_wakes: 0.5, ..WorkOptions::default() };
    let (mut world, [yoda, luke], recorder) = two(Options { work, ..Options::rough(1) });
    let file = world.put_file("film.mp4", 1_000_000, 1);
    let id = send(&mut world, yoda, "luke", &file);
    arrives(&mut world, yoda, luke, id, &file);
    for text in ["one", "two", "three"] {
        (&mut world as &mut dyn World).broadcast(yoda, text);
    }
    world.pause(A_WHILE);
    let early = recorder.0.borrow().early.clone();
    assert_eq!(early.len(), 5, "{early:?}");
    assert!(early.values().all(|(times, said)| *times >= 10 && *said == 0), "{early:?}");
}
