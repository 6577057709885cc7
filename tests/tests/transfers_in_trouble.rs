//! Transfers while something is wrong, under every checker of files: whatever happens, no file is wrong, and
//! everything comes to an end although nobody logs out.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Transfer, TransferFailure, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::id::OfferId;
use toom_tests::invariants::addresses::Addresses;
use toom_tests::invariants::content::Content;
use toom_tests::invariants::datagrams::Datagrams;
use toom_tests::invariants::transfer::Life;
use toom_tests::invariants::{Broken, CONVERGENCE, Checker, Moment, Observation, Watch};
use toom_tests::scenario::steps::{log_in_with, password_of, start};
use toom_tests::scenario::transfer::{arrives, send, two_accepting};
use toom_tests::scenario::{ClientId, TestFile, World};
use toom_tests::sim::dice::Dice;
use toom_tests::sim::fault::{DiskTrouble, Fault, FaultKind};
use toom_tests::sim::options::LinkOptions;
use toom_tests::sim::{Options, SimulatedWorld};

/// A network on which a transfer takes a while: losses, so that something is sent again, and little room.
fn slow(seed: u64) -> SimulatedWorld {
    let rough = Options::rough(seed);
    let link = LinkOptions { rate: 1_000_000, ..rough.link };
    let mut world = SimulatedWorld::new(Options { link, ..Options::calm(seed) });
    *world.simulation.watch() = Watch::new(checkers());
    world
}

/// Those of files. Others want everybody to log out in the end, which would end every transfer.
fn checkers() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(Addresses::default()),
        Box::new(Content::default()),
        Box::new(Datagrams::default()),
        Box::new(Life::default()),
    ]
}

/// Everything is healed and has its time; then no invariant is broken and nothing has been left.
fn finish(mut world: SimulatedWorld) {
    world.simulation.heal();
    world.simulation.advance(CONVERGENCE);
    let (now, wall) = (world.simulation.now(), Options::calm(0).epoch);
    world.simulation.watch().finish(now, wall);
    assert_eq!(world.simulation.watch().broken(), None);
}

/// How a transfer ended, as this client was told.
fn end(world: &mut dyn World, client: ClientId, id: OfferId) -> TransferState {
    world.pick(client, "the end of the transfer", |event| match event {
        Event::Transfer(Transfer { id: this, state, .. }) if *this == id => match state {
            TransferState::Done { .. } | TransferState::Failed(_) => Some(state.clone()),
            TransferState::Starting | TransferState::Resumed { .. } | TransferState::Moving => None,
            TransferState::Waiting(_) | TransferState::Paused { .. } => None,
        },
        _ => None,
    })
}

fn failure(world: &mut dyn World, client: ClientId, id: OfferId) -> TransferFailure {
    match end(world, client, id) {
        TransferState::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn film(world: &mut SimulatedWorld) -> TestFile {
    world.put_file("film.mp4", 600_000, 1)
}

#[test]
fn the_server_goes_away_in_the_middle() {
    for seed in 0..8 {
        let mut world = slow(seed);
        let (yoda, luke) = two_accepting(&mut world);
        // Too much to be there by the latest of those moments.
        let file = world.put_file("film.mp4", 2_000_000, 1);
        let id = send(&mut world, yoda, "luke", &file);
        world.pause(Duration::from_millis(100 * seed));
        world.restart_server();
        for client in [yoda, luke] {
            assert_eq!(failure(&mut world, client, id), TransferFailure::ServerLost, "seed {seed}");
        }
        finish(world);
    }
}

#[test]
fn a_client_dies_and_its_person_comes_back() {
    for (seed, sender_dies) in (0..8).zip([true, false].into_iter().cycle()) {
        let mut world = slow(seed);
        let (yoda, luke) = two_accepting(&mut world);
        let file = film(&mut world);
        let id = send(&mut world, yoda, "luke", &file);
        let (dies, name, stays) = if sender_dies { (yoda, "yoda", luke) } else { (luke, "luke", yoda) };
        let after_effects = 40 * seed as u32;
        world.simulation.inject(&Fault::CrashClient { client: dies.0, after_effects });
        assert!(matches!(
            failure(&mut world, stays, id),
            TransferFailure::PeerSilent | TransferFailure::PeerLeft | TransferFailure::TimedOut
        ));
        let back = ClientId(world.simulation.connect_from(AcceptPolicy::All, dies.0));
        let people: &mut dyn World = &mut world;
        assert!(people.try_login(back, name, &password_of(name)).is_ok());
        let (from, to) = if sender_dies { (back, luke) } else { (yoda, back) };
        let id = send(&mut world, from, "luke", &file);
        assert_eq!(arrives(&mut world, from, to, id, &file), "yoda_film.mp4");
        finish(world);
    }
}

#[test]
fn files_of_one_name_cross_each_other() {
    let mut world = slow(1);
    let (yoda, luke) = two_accepting(&mut world);
    let mut sent = Vec::new();
    for seed in 1..=3 {
        for (from, to, name) in [(yoda, luke, "luke"), (luke, yoda, "yoda")] {
            let file = world.put_file(&format!("{seed}/film.mp4"), 200_000, seed);
            sent.push((from, to, send(&mut world, from, name, &file), file));
        }
    }
    let mut names = BTreeMap::<ClientId, Vec<String>>::new();
    for (from, to, id, file) in sent {
        names.entry(to).or_default().push(arrives(&mut world, from, to, id, &file));
    }
    for (client, who) in [(yoda, "luke"), (luke, "yoda")] {
        let mut names = names.remove(&client).unwrap_or_default();
        names.sort();
        assert_eq!(names, [" (2).mp4", " (3).mp4", ".mp4"].map(|end| format!("{who}_film{end}")));
    }
    finish(world);
}

#[test]
fn empty_files_and_long_names_are_like_others() {
    let mut world = slow(1);
    let (yoda, luke) = two_accepting(&mut world);
    let long = format!("{}.tar.gz", "ü".repeat(300));
    for (name, bytes) in [("empty", 0), (".bashrc", 0), ("..", 1), ("a b (2).txt", 2), (&long, 3), (&long, 4)] {
        let file = world.put_file(&format!("{bytes}/{name}"), bytes, bytes);
        let id = send(&mut world, yoda, "luke", &file);
        arrives(&mut world, yoda, luke, id, &file);
    }
    finish(world);
}

#[test]
fn a_disk_goes_wrong() {
    for trouble in [DiskTrouble::Slow, DiskTrouble::ReadsFail, DiskTrouble::WritesFail] {
        for (seed, spoiled) in (0..4).zip([0, 1].into_iter().cycle()) {
            let mut world = slow(seed);
            let (yoda, luke) = two_accepting(&mut world);
            let file = film(&mut world);
            let id = send(&mut world, yoda, "luke", &file);
            world.pause(Duration::from_millis(100 * seed));
            world.simulation.inject(&Fault::ClientDisk { client: [yoda, luke][spoiled].0, trouble });
            for client in [yoda, luke] {
                end(&mut world, client, id);
            }
            finish(world);
        }
    }
}

/// Only the hash tells; and then nobody gets a file.
#[test]
fn a_file_changes_while_it_is_sent() {
    let (mut arrived, mut refused) = (0, 0);
    for seed in 0..12 {
        let mut world = slow(seed);
        let (yoda, luke) = two_accepting(&mut world);
        let file = film(&mut world);
        world.simulation.inject(&Fault::ClientDisk { client: yoda.0, trouble: DiskTrouble::SourcesChange });
        let id = send(&mut world, yoda, "luke", &file);
        match [end(&mut world, yoda, id), end(&mut world, luke, id)] {
            [TransferState::Done { blake3: sent, .. }, TransferState::Done { blake3: received, .. }] => {
                assert_eq!(sent, received);
                arrived += 1;
            }
            [TransferState::Failed(a), TransferState::Failed(b)] => {
                assert_eq!([a, b], [TransferFailure::Integrity, TransferFailure::Integrity]);
                assert_eq!(world.downloads(luke), BTreeMap::new());
                refused += 1;
            }
            others => panic!("{others:?}"),
        }
        assert!(world.simulation.faults()[&FaultKind::SourceChange] > 0);
        finish(world);
    }
    assert!(arrived > 0 || refused > 0);
    assert!(refused > 0, "some bytes were sent again after they had changed");
}

/// What was sent lately: by whom, where to, what.
type Sent = Rc<RefCell<Vec<(usize, SocketAddr, Vec<u8>)>>>;

/// Notes what is sent.
#[derive(Debug)]
struct Tap(Sent);

impl Checker for Tap {
    fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        if let Observation::DatagramSent { client, to, datagram } = what {
            self.0.borrow_mut().push((*client, *to, datagram.to_vec()));
        }
        Ok(())
    }
}

/// Somebody on the way sends datagrams again: as they were, from elsewhere, to the wrong end, changed, cut.
#[test]
fn datagrams_come_again_and_changed_and_from_elsewhere() {
    for seed in 0..10 {
        let sent = Sent::default();
        let mut world = slow(seed);
        let mut checkers = checkers();
        checkers.push(Box::new(Tap(sent.clone())));
        *world.simulation.watch() = Watch::new(checkers);
        let (yoda, luke) = two_accepting(&mut world);
        let (file, other) = (film(&mut world), world.put_file("other.bin", 100_000, 2));
        let there = send(&mut world, yoda, "luke", &file);
        let back = send(&mut world, luke, "yoda", &other);
        let mut dice = Dice::new(seed, "somebody on the way");
        while world.simulation.step() {
            if dice.chance(0.2) {
                meddle(&mut world, &sent, &mut dice);
            }
            if world.downloads(luke).contains_key("yoda_film.mp4") {
                break;
            }
        }
        arrives(&mut world, yoda, luke, there, &file);
        arrives(&mut world, luke, yoda, back, &other);
        finish(world);
    }
}

fn meddle(world: &mut SimulatedWorld, sent: &Sent, dice: &mut Dice) {
    let sent = sent.borrow();
    let Some(last) = sent.len().checked_sub(1) else { return };
    // Mostly what is new, sometimes anything.
    let first = if dice.chance(0.8) { last.saturating_sub(20) } else { 0 };
    let (client, to, mut datagram) = sent[dice.within(first as u64..=last as u64) as usize].clone();
    let owner = world.simulation.client(client).address();
    let stranger = SocketAddr::from(([192, 0, 2, 7], 7));
    let (from, to) = if dice.chance(0.1) { (to, owner) } else { (owner, to) };
    let from = if dice.chance(0.5) { stranger } else { from };
    if dice.chance(0.3) {
        let bit = dice.within(0..=8 * datagram.len() as u64 - 1);
        datagram[bit as usize / 8] ^= 1 << (bit % 8);
    }
    if dice.chance(0.1) {
        datagram.truncate(dice.within(0..=datagram.len() as u64) as usize);
    }
    let now = world.simulation.now();
    world.simulation.network().send(now, from, to, &datagram);
}

/// Whoever logs out while files wait and move leaves nothing behind.
#[test]
fn people_leave_in_the_middle() {
    for seed in 0..6 {
        let mut world = slow(seed);
        start(&mut world, &["yoda", "luke", "leia"]);
        let yoda = log_in_with(&mut world, "yoda", AcceptPolicy::All);
        let luke = log_in_with(&mut world, "luke", AcceptPolicy::All);
        let leia = log_in_with(&mut world, "leia", AcceptPolicy::Ask);
        let file = film(&mut world);
        for (from, to) in [(yoda, "luke"), (luke, "yoda"), (yoda, "leia"), (leia, "yoda")] {
            send(&mut world, from, to, &file);
        }
        world.pause(Duration::from_millis(150 * seed));
        world.command(yoda, Command::Logout);
        finish(world);
    }
}
