//! Each fault of the network, put into effect in a world that is calm otherwise.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Transfer, TransferFailure, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::id::OfferId;
use toom_core::link::Violation;
use toom_core::secure::Password;
use toom_core::wire::limits::FRAME_DEADLINE;
use toom_tests::scenario::steps::{log_in, password_of, start};
use toom_tests::scenario::transfer::{arrives, send, two_accepting};
use toom_tests::scenario::{ClientId, World};
use toom_tests::sim::fault::{Fault, FaultKind, Host};
use toom_tests::sim::network::Toward;
use toom_tests::sim::options::{Bursts, LinkOptions, StreamOptions};
use toom_tests::sim::{Options, SimulatedWorld};

/// More than any message takes on a calm network.
const A_MOMENT: Duration = Duration::from_millis(200);

fn calm() -> SimulatedWorld {
    SimulatedWorld::new(Options::calm(1))
}

/// Two people on a calm network.
fn two() -> (SimulatedWorld, ClientId, ClientId) {
    let mut world = calm();
    start(&mut world, &["yoda", "luke"]);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(&mut world, name));
    (world, yoda, luke)
}

/// Two people of whom one has just begun to send the other a file of 20 MB.
fn sending() -> (SimulatedWorld, ClientId, ClientId, OfferId) {
    let mut world = calm();
    let (yoda, luke) = two_accepting(&mut world);
    let file = world.put_file("film.mp4", 20_000_000, 1);
    let id = send(&mut world, yoda, "luke", &file);
    let moves = |event: &Event| matches!(event, Event::Transfer(Transfer { state: TransferState::Moving, .. }));
    (&mut world as &mut dyn World).wait(luke, "moving bytes", moves);
    (world, yoda, luke, id)
}

fn inject(world: &mut SimulatedWorld, fault: Fault) {
    world.simulation.inject(&fault);
}

fn part(world: &mut SimulatedWorld, from: Host, to: Host, both: bool) {
    inject(world, Fault::Partition { from, to, both });
}

/// How often this happened, which must be more than never.
fn count(world: &mut SimulatedWorld, kind: FaultKind) -> u64 {
    let count = world.simulation.faults().get(&kind).copied();
    count.unwrap_or_else(|| panic!("{kind:?} never happened: {:?}", world.simulation.faults()))
}

fn broadcast(world: &mut SimulatedWorld, client: ClientId, text: &str) {
    world.command(client, Command::Broadcast { text: text.into() });
}

fn hears(world: &mut SimulatedWorld, client: ClientId, text: &str) {
    (world as &mut dyn World).hears(client, text);
}

fn has_heard(world: &mut SimulatedWorld, client: ClientId, text: &str) -> bool {
    world.untaken(client).iter().any(|event| matches!(event, Event::Broadcast { text: heard, .. } if heard == text))
}

fn loses_connection(world: &mut SimulatedWorld, client: ClientId) {
    let lost = |event: &Event| matches!(event, Event::ConnectionLost { was_logged_in: true, .. });
    (world as &mut dyn World).wait(client, "the loss of the connection", lost);
}

fn end(world: &mut dyn World, client: ClientId, id: OfferId) -> TransferState {
    world.pick(client, "the end of the transfer", |event| match event {
        Event::Transfer(Transfer { id: this, state, .. }) if *this == id => match state {
            TransferState::Done { .. } | TransferState::Failed(_) => Some(state.clone()),
            _ => None,
        },
        _ => None,
    })
}

#[test]
fn a_partition_holds_messages_back_until_it_is_healed() {
    for both in [true, false] {
        let (mut world, yoda, luke) = two();
        part(&mut world, Host::Client(yoda.0), Host::Server, both);
        broadcast(&mut world, yoda, "into the void");
        world.pause(Duration::from_secs(50));
        assert!(!has_heard(&mut world, luke, "into the void"));
        let kind = if both { FaultKind::Partition } else { FaultKind::OneWayPartition };
        assert_eq!(count(&mut world, kind), 1);
        world.simulation.heal();
        hears(&mut world, luke, "into the void");
        (&mut world as &mut dyn World).sent(yoda);
    }
}

#[test]
fn the_other_direction_of_a_one_way_partition_still_works() {
    let (mut world, yoda, luke) = two();
    part(&mut world, Host::Client(yoda.0), Host::Server, false);
    broadcast(&mut world, luke, "can you hear me");
    hears(&mut world, yoda, "can you hear me");
    assert_eq!(count(&mut world, FaultKind::OneWayPartition), 1, "the acknowledgement does not come back");
}

#[test]
fn who_ran_out_of_window_without_acknowledgements_goes_on_afterwards() {
    let stream = StreamOptions { window: 2_000, ..StreamOptions::default() };
    let mut world = SimulatedWorld::new(Options { stream, ..Options::calm(1) });
    start(&mut world, &["yoda", "luke"]);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(&mut world, name));
    part(&mut world, Host::Server, Host::Client(yoda.0), false);
    let text = "x".repeat(10_000);
    broadcast(&mut world, yoda, &text);
    world.pause(Duration::from_secs(10));
    assert!(!has_heard(&mut world, luke, &text));
    world.simulation.heal();
    hears(&mut world, luke, &text);
}

#[test]
fn a_partition_that_lasts_too_long_breaks_the_connection_at_both_ends() {
    for both in [true, false] {
        let (mut world, yoda, luke) = two();
        part(&mut world, Host::Server, Host::Client(yoda.0), both);
        // Nobody says anything, so nobody waits.
        world.pause(Duration::from_secs(3_600));
        broadcast(&mut world, luke, "are you there");
        let timeout = StreamOptions::default().user_timeout;
        world.pause(timeout - A_MOMENT);
        let left = |world: &mut SimulatedWorld| {
            world.untaken(luke).iter().any(|event| matches!(event, Event::Left { user } if user.as_str() == "yoda"))
        };
        assert!(!left(&mut world));
        world.pause(2 * A_MOMENT);
        assert!(left(&mut world));
        loses_connection(&mut world, yoda);
        assert!(!has_heard(&mut world, yoda, "are you there"));
    }
}

#[test]
fn no_connection_opens_in_a_partition() {
    let (one, server) = (Host::Client(1), Host::Server);
    for (from, to, both) in [(one, server, false), (server, one, false), (server, one, true)] {
        let mut world = calm();
        start(&mut world, &["yoda", "luke"]);
        let [yoda, luke] = [0, 1].map(|_| world.connect(AcceptPolicy::Ask));
        part(&mut world, from, to, both);
        let login = |name: &str| Command::Login { name: name.into(), password: Password(password_of(name)) };
        world.command(yoda, login("yoda"));
        world.command(luke, login("luke"));
        let answered = |event: &Event| matches!(event, Event::Welcome { .. });
        let lost = |event: &Event| matches!(event, Event::ConnectionLost { was_logged_in: false, .. });
        let world: &mut dyn World = &mut world;
        world.wait(yoda, "a connection that is none of the partition's", answered);
        world.wait(luke, "the end of patience", lost);
        world.absent(luke, "a welcome", answered);
    }
}

#[test]
fn who_comes_again_to_a_host_that_is_cut_off_waits_until_it_is_healed() {
    let (mut world, _, luke) = two();
    part(&mut world, Host::Server, Host::Client(luke.0), false);
    inject(&mut world, Fault::Reset { client: luke.0 });
    loses_connection(&mut world, luke);
    let again = ClientId(world.simulation.connect_from(AcceptPolicy::Ask, luke.0));
    world.pause(Duration::from_secs(5));
    assert_eq!(count(&mut world, FaultKind::OneWayPartition), 1);
    world.simulation.heal();
    let welcome = (&mut world as &mut dyn World).try_login(again, "luke", &password_of("luke"));
    assert!(welcome.is_ok(), "{welcome:?}");
}

/// A client is told that nothing is heard of the other end, before anything else comes of it.
fn pauses(world: &mut dyn World, client: ClientId, id: OfferId) {
    world.pick(client, "a pause", |event| match event {
        Event::Transfer(Transfer { id: this, state, .. }) if *this == id => match state {
            TransferState::Paused { .. } => Some(()),
            TransferState::Done { .. } | TransferState::Failed(_) => panic!("{state:?}"),
            _ => None,
        },
        _ => None,
    });
}

#[test]
fn a_partition_between_clients_pauses_a_transfer_until_it_is_healed() {
    for both in [true, false] {
        let (mut world, yoda, luke, id) = sending();
        part(&mut world, Host::Client(luke.0), Host::Client(yoda.0), both);
        pauses(&mut world, yoda, id);
        if both {
            pauses(&mut world, luke, id);
        }
        world.pause(Duration::from_secs(120));
        assert!(count(&mut world, if both { FaultKind::Partition } else { FaultKind::OneWayPartition }) > 1);
        broadcast(&mut world, yoda, "by the server");
        hears(&mut world, luke, "by the server");
        world.simulation.heal();
        for client in [yoda, luke] {
            let state = end(&mut world, client, id);
            assert!(matches!(state, TransferState::Done { .. }), "{state:?}");
        }
    }
}

#[test]
fn a_link_can_be_replaced_before_anything_crossed_it_and_afterwards() {
    let deaf = LinkOptions { loss: 1.1, ..LinkOptions::default() };
    for early in [true, false] {
        let mut world = calm();
        let (yoda, luke) = two_accepting(&mut world);
        let fault = Fault::Link { from: yoda.0, to: luke.0, options: deaf };
        if early {
            inject(&mut world, fault.clone());
        }
        let file = world.put_file("film.mp4", 20_000_000, 1);
        let id = send(&mut world, yoda, "luke", &file);
        if !early {
            world.pause(Duration::from_millis(50));
            assert!(world.simulation.fates(yoda.0, luke.0).sent > 0);
            inject(&mut world, fault);
        }
        match early {
            true => assert_eq!(end(&mut world, luke, id), TransferState::Failed(TransferFailure::TimedOut)),
            false => pauses(&mut world, luke, id),
        }
        assert!(count(&mut world, FaultKind::Loss) > 0);
        assert_eq!(world.simulation.fates(luke.0, yoda.0).lost, 0, "the other direction is as it was");
        world.simulation.heal();
        let id = if early { send(&mut world, yoda, "luke", &file) } else { id };
        arrives(&mut world, yoda, luke, id, &file);
    }
}

#[test]
fn a_file_survives_bursts_damage_and_cuts() {
    let bursts = Bursts { enter: 0.005, leave: 0.2, loss: 0.7 };
    let link = LinkOptions { bursts, bit_flip: 0.01, truncation: 0.01, ..LinkOptions::default() };
    let mut world = SimulatedWorld::new(Options { link, ..Options::calm(1) });
    let (yoda, luke) = two_accepting(&mut world);
    let file = world.put_file("film.mp4", 5_000_000, 1);
    let id = send(&mut world, yoda, "luke", &file);
    arrives(&mut world, yoda, luke, id, &file);
    for kind in [FaultKind::BurstLoss, FaultKind::BitFlip, FaultKind::Truncation] {
        assert!(count(&mut world, kind) > 10);
    }
}

#[test]
fn a_stall_delays_and_breaks_nothing() {
    let (mut world, yoda, luke) = two();
    let time = Duration::from_secs(300);
    inject(&mut world, Fault::Stall { client: luke.0, toward: Toward::Client, time });
    broadcast(&mut world, yoda, "patience");
    world.pause(time - A_MOMENT);
    assert!(!has_heard(&mut world, luke, "patience"));
    hears(&mut world, luke, "patience");
    assert_eq!(count(&mut world, FaultKind::Stall), 1);
}

#[test]
fn who_trickles_is_served_or_closed_and_blocks_nobody() {
    for (rate, survives) in [(20, true), (1, false)] {
        let (mut world, yoda, luke) = two();
        inject(&mut world, Fault::Trickle { client: yoda.0, toward: Toward::Server, rate });
        broadcast(&mut world, yoda, "I speak slowly, but I come to an end");
        broadcast(&mut world, luke, "I speak fast");
        hears(&mut world, yoda, "I speak fast");
        world.pause(FRAME_DEADLINE + Duration::from_secs(5));
        assert_eq!(has_heard(&mut world, luke, "I speak slowly, but I come to an end"), survives);
        let violations = world.simulation.server().map(|server| server.violations().to_vec());
        assert_eq!(violations, Some(if survives { vec![] } else { vec![Violation::SilentFrame] }));
        assert_eq!(count(&mut world, FaultKind::Trickle), 1);
    }
}

#[test]
fn a_reset_loses_what_is_under_way_and_both_ends_see_it() {
    let (mut world, yoda, luke) = two();
    broadcast(&mut world, yoda, "on its way");
    inject(&mut world, Fault::Reset { client: yoda.0 });
    loses_connection(&mut world, yoda);
    let is_left = |event: &Event| matches!(event, Event::Left { user } if user.as_str() == "yoda");
    (&mut world as &mut dyn World).wait(luke, "the end of the other session", is_left);
    assert!(!has_heard(&mut world, luke, "on its way"));
    assert_eq!(count(&mut world, FaultKind::Reset), 1);
    // There is nothing to reset any more.
    inject(&mut world, Fault::Reset { client: yoda.0 });
    assert_eq!(count(&mut world, FaultKind::Reset), 1);
}

#[test]
fn a_client_whose_address_changes_is_reached_at_the_new_one_only_and_its_transfer_goes_on() {
    for receiver in [true, false] {
        goes_on_when_one_moves(receiver);
    }
}

fn goes_on_when_one_moves(receiver: bool) {
    let (mut world, yoda, luke, id) = sending();
    let moves = if receiver { luke } else { yoda };
    let before = world.simulation.client(moves.0).dropped();
    inject(&mut world, Fault::Rebind { client: moves.0 });
    assert_eq!(count(&mut world, FaultKind::AddressChange), 1);
    // What a stranger sends to where it is now arrives.
    world.datagram(moves, b"nonsense");
    for client in [yoda, luke] {
        let state = end(&mut world, client, id);
        assert!(matches!(state, TransferState::Done { .. }), "{state:?}");
        world.command(client, Command::Transfers);
        let none = |event: &Event| *event == Event::Transfers(Vec::new());
        (&mut world as &mut dyn World).wait(client, "no transfers", none);
    }
    assert_eq!(world.simulation.client(moves.0).dropped().not_ours, before.not_ours + 1);
}

#[test]
fn replayed_and_forged_datagrams_harm_no_file() {
    let (mut world, yoda, luke, id) = sending();
    for (foreign, changed, kind) in [
        (false, false, FaultKind::Replay),
        (true, false, FaultKind::ForeignReplay),
        (true, true, FaultKind::Forgery),
        (false, true, FaultKind::Forgery),
    ] {
        let before = world.simulation.faults().get(&kind).copied().unwrap_or_default();
        for client in [yoda, luke] {
            inject(&mut world, Fault::Replay { client: client.0, count: 10, foreign, changed });
        }
        assert_eq!(count(&mut world, kind), before + 20);
    }
    assert!(world.simulation.client(luke.0).dropped().forged > 0);
    for client in [yoda, luke] {
        let state = end(&mut world, client, id);
        assert!(matches!(state, TransferState::Done { .. }), "{state:?}");
    }
}

#[test]
fn clients_are_meant_modulo_how_many_there_are_and_the_dead_are_passed_over() {
    let (mut world, yoda, luke) = two();
    world.kill(yoda);
    inject(&mut world, Fault::Reset { client: 10 });
    loses_connection(&mut world, luke);
    // Nobody is there: nothing happens.
    let mut empty = calm();
    for fault in [
        Fault::Reset { client: 1 },
        Fault::Rebind { client: 1 },
        Fault::Partition { from: Host::Client(3), to: Host::Server, both: true },
        Fault::Replay { client: 0, count: 1, foreign: true, changed: true },
        Fault::Link { from: 0, to: 1, options: LinkOptions::default() },
    ] {
        inject(&mut empty, fault);
    }
    assert!(empty.simulation.faults().is_empty());
}
