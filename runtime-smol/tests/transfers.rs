//! Files from one person to another, by UDP over loopback.

mod world;

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::mpsc;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, TransferState};
use toom_core::config::TransferConfig;
use toom_core::id::PeerIndex;
use toom_core::secure::SecretKey;
use toom_core::transfer::io::Dropped;
use toom_core::wire::packet::{Header, PacketNumber};
use toom_smol::endpoint::Endpoint;
use world::{Person, World, eventually};

/// A file that does not repeat itself within any block.
fn file_of(world: &World, name: &str, bytes: usize) -> (PathBuf, Vec<u8>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        content.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    content.truncate(bytes);
    let path = world.directory.path().join(name);
    fs::write(&path, &content).unwrap();
    (path, content)
}

fn send(from: &Person, to: &str, path: &std::path::Path) {
    from.client.command(Command::SendFiles { to: to.into(), paths: vec![path.to_owned()] });
}

/// Waits until the next transfer is done; its hash and the name it was saved as.
fn done(person: &Person) -> ([u8; 32], Option<String>) {
    person.wait_for("the end of a transfer", |event| match event {
        Event::Transfer(transfer) => match transfer.state {
            TransferState::Done { blake3, saved_as } => Some((blake3, saved_as)),
            TransferState::Failed(why) => panic!("the transfer failed: {why}"),
            TransferState::Starting | TransferState::Resumed { .. } | TransferState::Moving => None,
            TransferState::Waiting(_) | TransferState::Paused { .. } => None,
        },
        _ => None,
    })
}

#[test]
fn files_of_every_size_arrive_as_they_were_and_both_ends_know_their_hash() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    for bytes in [0, 1, 1_000, 65_536, 1 << 20, 20_000_001] {
        let (path, content) = file_of(&world, &format!("film{bytes}.mp4"), bytes);
        send(&yoda, "luke", &path);
        let (sent, _) = done(&yoda);
        let (received, saved_as) = done(&luke);
        assert_eq!(sent, received);
        let saved_as = saved_as.unwrap();
        assert_eq!(saved_as, format!("yoda_film{bytes}.mp4"));
        assert!(fs::read(luke.downloads.path().join(saved_as)).unwrap() == content, "{bytes} bytes differ");
    }
    let mut left: Vec<_> = fs::read_dir(luke.downloads.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.retain(|name| !name.to_string_lossy().starts_with("yoda_film"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_crosses_by_ipv6_where_the_system_has_it() {
    let listen = "[::1]:0".parse().unwrap();
    if std::net::TcpListener::bind(listen).is_err() {
        return;
    }
    let world = World::at(listen, &["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    let (path, content) = file_of(&world, "film.mp4", 1_000_000);
    send(&yoda, "luke", &path);
    done(&yoda);
    assert!(fs::read(luke.downloads.path().join(done(&luke).1.unwrap())).unwrap() == content);
}

#[test]
fn a_name_that_is_taken_by_something_else_is_not_replaced() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    let (path, content) = file_of(&world, "plan.txt", 5_000);
    fs::write(luke.downloads.path().join("yoda_plan.txt"), "mine").unwrap();
    for expected in ["yoda_plan (2).txt", "yoda_plan (2).txt"] {
        send(&yoda, "luke", &path);
        done(&yoda);
        assert_eq!(done(&luke).1.as_deref(), Some(expected));
    }
    assert_eq!(fs::read(luke.downloads.path().join("yoda_plan.txt")).unwrap(), b"mine");
    assert_eq!(fs::read(luke.downloads.path().join("yoda_plan (2).txt")).unwrap(), content);
}

#[test]
fn several_files_cross_in_both_directions_at_once() {
    let world = World::new(&["yoda", "luke", "leia"]);
    let people = [("yoda", world.person("yoda")), ("luke", world.person("luke")), ("leia", world.person("leia"))];
    for (n, (name, person)) in people.iter().enumerate() {
        let (to, _) = &people[(n + 1) % people.len()];
        send(person, to, &file_of(&world, &format!("{name}.bin"), 3_000_000 + n).0);
    }
    for (name, person) in &people {
        // One is sent and one received, in either order.
        let ends = [done(person), done(person)];
        assert_eq!(ends.iter().filter(|(_, saved_as)| saved_as.is_some()).count(), 1, "{name}: {ends:?}");
    }
}

#[test]
fn a_transfer_can_be_cancelled_and_leaves_nothing_behind() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    send(&yoda, "luke", &file_of(&world, "long.bin", 200_000_000).0);
    let moving = |event| match event {
        Event::Transfer(transfer) if transfer.state == TransferState::Moving => Some(transfer.id),
        _ => None,
    };
    let transfer = luke.wait_for("movement", moving);
    luke.client.command(Command::Cancel { transfer });
    for person in [&yoda, &luke] {
        person.wait_for("the end", |event| match event {
            Event::Transfer(transfer) => matches!(transfer.state, TransferState::Failed(_)).then_some(()),
            _ => None,
        });
    }
    eventually("the partial file is gone", || fs::read_dir(luke.downloads.path()).unwrap().next().is_none());
}

#[test]
fn logging_out_in_the_middle_of_a_transfer_tells_the_other_end() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    send(&yoda, "luke", &file_of(&world, "long.bin", 200_000_000).0);
    luke.wait_for("movement", |event| match event {
        Event::Transfer(transfer) => (transfer.state == TransferState::Moving).then_some(()),
        _ => None,
    });
    yoda.client.command(Command::Logout);
    yoda.wait_for("a goodbye", |event| matches!(event, Event::Bye { .. }).then_some(()));
    yoda.client.join();
    luke.wait_for("the end", |event| match event {
        Event::Transfer(transfer) => matches!(transfer.state, TransferState::Failed(_)).then_some(()),
        _ => None,
    });
}

#[test]
fn a_missing_file_is_said_at_once() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, _luke) = (world.person("yoda"), world.person("luke"));
    send(&yoda, "luke", &world.directory.path().join("nothing"));
    yoda.wait_for("an error", |event| match event {
        Event::Error(Failure::NoSuchFile(_)) => Some(()),
        _ => None,
    });
}

#[test]
fn datagrams_of_strangers_disturb_no_transfer() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    let (path, content) = file_of(&world, "film.mp4", 5_000_000);
    send(&yoda, "luke", &path);
    let stranger = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    for n in 0..2_000u32 {
        let datagram: Vec<u8> = (0..n % 1_400).map(|i| (i * 31 + n) as u8).collect();
        for person in [&yoda, &luke] {
            drop(stranger.send_to(&datagram, ("127.0.0.1", person.client.udp_port())));
        }
    }
    done(&yoda);
    let saved_as = done(&luke).1.unwrap();
    assert!(fs::read(luke.downloads.path().join(saved_as)).unwrap() == content);
}

#[test]
fn datagrams_that_belong_to_no_transfer_are_counted_by_reason() {
    let directory = tempfile::tempdir().unwrap();
    let (reports, reported) = mpsc::channel();
    let report = move |report| drop(reports.send(report));
    let local = "127.0.0.1:0".parse().unwrap();
    let config = TransferConfig::default();
    let (device, seed) = (SecretKey::new(world::rand_seed()), world::rand_seed());
    let endpoint = Endpoint::bind(local, directory.path().into(), config, device, seed, report).unwrap();
    let stranger = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let mut ours = [0xff; 100];
    ours[0] = Header { epoch: 0, index: PeerIndex(0), number: PacketNumber(0) }.encode()[0];
    for datagram in [&b""[..], b"hello", &[0; 100], &[0xff; 100], &ours] {
        stranger.send_to(datagram, ("127.0.0.1", endpoint.port())).unwrap();
    }
    let expected = Dropped { not_ours: 3, unknown_index: 1, forged: 0 };
    eventually("they are counted", || endpoint.dropped() == expected);
    endpoint.stop();
    assert!(reported.recv().is_err());
}
