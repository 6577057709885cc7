//! Files that cross UDP between people on one server, and between two endpoints alone.

mod common;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use common::{PATIENCE, Person, World, user};
use tempfile::TempDir;
use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, Transfer, TransferFailure, TransferState};
use toom_core::client::io::{Destination, Progress, Report, Side, SourceId, Start};
use toom_core::config::TransferConfig;
use toom_core::id::{OfferId, PeerIndex};
use toom_core::secure::{PeerAgreement, PeerSecret, SecretKey, Suite};
use toom_core::text::FileLabel;
use toom_core::wire::packet::{Header, PACKET_OVERHEAD, PacketNumber};
use toom_std::endpoint::Endpoint;
use toom_store::files::Source;

/// Bytes of which no two neighbouring packets are alike.
fn content(length: usize, seed: u64) -> Vec<u8> {
    (0..length as u64).map(|n| ((n + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A file to send, in a directory of its own.
fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    (directory, path)
}

fn send(from: &Person, to: &str, path: &Path) {
    from.give(Command::SendFiles { to: to.into(), paths: vec![path.to_owned()] });
}

/// How the next transfer to end has ended.
fn ended(person: &mut Person) -> Transfer {
    person.find(|event| match event {
        Event::Transfer(transfer) => match transfer.state {
            TransferState::Done { .. } | TransferState::Failed(_) => Some(transfer.clone()),
            TransferState::Starting | TransferState::Resumed { .. } | TransferState::Moving => None,
            TransferState::Waiting(_) | TransferState::Paused { .. } => None,
        },
        _ => None,
    })
}

/// The hash, and the name at the receiver, of a transfer that has arrived.
fn arrived(person: &mut Person) -> ([u8; 32], Option<String>) {
    let transfer = ended(person);
    match transfer.state {
        TransferState::Done { blake3, saved_as } => (blake3, saved_as),
        state => panic!("did not arrive: {state:?}"),
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_arrives_as_it_was_sent_and_both_ends_know_its_hash() {
    let world = World::new(&["yoda", "luke"]);
    let (mut yoda, mut luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));
    let bytes = content(8_000_001, 7);
    let (_directory, path) = file("film.mp4", &bytes);
    send(&yoda, "luke", &path);
    let (received, saved_as) = arrived(&mut luke);
    let (sent, _) = arrived(&mut yoda);
    assert_eq!(saved_as.as_deref(), Some("yoda_film.mp4"));
    assert!(fs::read(luke.downloads.path().join("yoda_film.mp4")).unwrap() == bytes);
    assert_eq!(sent, received);
}

#[test]
fn files_cross_both_ways_at_the_same_time_empty_ones_and_taken_names_too() {
    let world = World::new(&["yoda", "luke"]);
    let (mut yoda, mut luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));
    fs::write(luke.downloads.path().join("yoda_a.txt"), "mine").unwrap();
    let (_a, a) = file("a.txt", &content(300_000, 1));
    let (_b, b) = file("b.txt", &[]);
    let (_c, c) = file("c.txt", &content(2_000_000, 3));
    send(&yoda, "luke", &a);
    send(&yoda, "luke", &b);
    send(&luke, "yoda", &c);
    for _ in 0..3 {
        arrived(&mut luke);
        arrived(&mut yoda);
    }
    assert_eq!(names(luke.downloads.path()), ["yoda_a (2).txt", "yoda_a.txt", "yoda_b.txt"]);
    assert_eq!(names(yoda.downloads.path()), ["luke_c.txt"]);
    for (original, received) in [
        (a, luke.downloads.path().join("yoda_a (2).txt")),
        (b, luke.downloads.path().join("yoda_b.txt")),
        (c, yoda.downloads.path().join("luke_c.txt")),
    ] {
        assert!(fs::read(original).unwrap() == fs::read(received).unwrap());
    }
    assert_eq!(fs::read(luke.downloads.path().join("yoda_a.txt")).unwrap(), b"mine");
}

#[test]
fn a_file_that_is_not_there_is_an_error_and_nothing_else() {
    let world = World::new(&["yoda", "luke"]);
    let (mut yoda, _luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));
    send(&yoda, "luke", Path::new("/nowhere/film.mp4"));
    assert!(matches!(yoda.next(), Event::Error(Failure::NoSuchFile(_))));
}

#[test]
fn a_transfer_that_is_cancelled_ends_at_both_ends_and_leaves_nothing() {
    let world = World::new(&["yoda", "luke"]);
    let (mut yoda, mut luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));
    let path = huge_file();
    send(&yoda, "luke", &path.1);
    let is_moving = |event: &Event| match event {
        Event::Transfer(transfer) if transfer.state == TransferState::Moving => Some(transfer.id),
        _ => None,
    };
    let transfer = luke.find(is_moving);
    yoda.give(Command::Cancel { transfer });
    assert_eq!(ended(&mut yoda).state, TransferState::Failed(TransferFailure::Cancelled));
    assert_eq!(ended(&mut luke).state, TransferState::Failed(TransferFailure::CancelledByPeer));
    let downloads = luke.downloads.path().to_owned();
    let kept = std::mem::replace(&mut luke.downloads, TempDir::new().unwrap());
    luke.leave();
    assert_eq!(names(&downloads), Vec::<String>::new());
    drop(kept);
}

#[test]
fn who_logs_out_ends_its_transfers_and_tells_the_other_end() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, mut luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));
    let path = huge_file();
    send(&yoda, "luke", &path.1);
    luke.find(|event| matches!(event, Event::Transfer(t) if t.state == TransferState::Moving).then_some(()));
    yoda.leave();
    assert_eq!(ended(&mut luke).state, TransferState::Failed(TransferFailure::CancelledByPeer));
}

/// A file without content on the disk that takes seconds to send.
fn huge_file() -> (TempDir, PathBuf) {
    let (directory, path) = file("huge.bin", &[]);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 34).unwrap();
    (directory, path)
}

/// An endpoint without a client.
struct End {
    endpoint: Endpoint,
    device: SecretKey,
    downloads: TempDir,
    reports: Receiver<Report>,
}

impl End {
    fn new(address: &str, payload: usize) -> End {
        let downloads = TempDir::new().unwrap();
        let (send, reports) = mpsc::channel();
        let on_report = move |report| _ = send.send(report);
        let (address, config) =
            (address.parse().unwrap(), TransferConfig { payload: Some(payload), ..TransferConfig::default() });
        static DEVICES: AtomicU8 = AtomicU8::new(1);
        let device = SecretKey::new([DEVICES.fetch_add(1, Ordering::Relaxed); 32]);
        let folder = downloads.path().to_owned();
        let endpoint = Endpoint::bind(address, folder, config, device.clone(), [5; 32], on_report).unwrap();
        End { endpoint, device, downloads, reports }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.endpoint.port()))
    }

    fn ended(&self) -> Progress {
        let end = Instant::now() + PATIENCE;
        loop {
            let report = self.reports.recv_timeout(end - Instant::now()).expect("the transfer ends");
            if matches!(report.progress, Progress::Done { .. } | Progress::Failed(_)) {
                return report.progress;
            }
        }
    }
}

/// What both ends know of a transfer, as the one knows it whose other end this is.
fn agreement(to: &End) -> PeerAgreement {
    let (remote, shared) = (to.device.public(), PeerSecret([8; 32]));
    PeerAgreement { remote, shared, context: [0; 32], suite: Suite::AesGcm }
}

/// Has `from` send a file to `to`.
fn transfer(from: &End, to: &End, path: &Path) -> OfferId {
    let (source, label, bytes) = Source::open(path).unwrap();
    let start = Start {
        listing: None,
        transfer: OfferId(3),
        remote: to.address(),
        local_index: PeerIndex(10),
        remote_index: PeerIndex(20),
        agreement: agreement(to),
        bytes: Some(bytes),
        side: Side::Send { source: SourceId(1) },
    };
    to.endpoint.start(
        Start {
            listing: None,
            remote: from.address(),
            agreement: agreement(from),
            local_index: start.remote_index,
            remote_index: start.local_index,
            side: Side::Receive { from: user("yoda"), label, into: Destination::File },
            ..start.clone()
        },
        None,
    );
    from.endpoint.start(start, Some(source.into()));
    OfferId(3)
}

#[test]
fn every_payload_size_and_both_families_carry_a_file() {
    for (address, payload) in [
        ("127.0.0.1:0", TransferConfig::MIN_PAYLOAD),
        ("127.0.0.1:0", 9_000),
        ("127.0.0.1:0", TransferConfig::MAX_PAYLOAD),
        ("[::]:0", TransferConfig::MIN_PAYLOAD),
    ] {
        let (yoda, luke) = (End::new(address, payload), End::new("0.0.0.0:0", payload));
        let bytes = content(3_000_000, payload as u64);
        let (_directory, path) = file("x", &bytes);
        let id = transfer(&yoda, &luke, &path);
        for end in [&luke, &yoda] {
            assert!(matches!(end.ended(), Progress::Done { .. }), "{address} {payload}");
        }
        assert!(fs::read(luke.downloads.path().join("yoda_x")).unwrap() == bytes);
        let counters = yoda.endpoint.counters(id).unwrap();
        assert!(counters.packets_sent as usize >= bytes.len() / payload, "{counters:?}");
    }
}

#[test]
fn datagrams_of_strangers_are_counted_and_do_not_disturb_a_transfer() {
    let (yoda, luke) = (End::new("127.0.0.1:0", 1_200), End::new("127.0.0.1:0", 1_200));
    let bytes = content(3_000_000, 1);
    let (_directory, path) = file("x", &bytes);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let forged = |index| {
        let header = Header { epoch: 0, index: PeerIndex(index), number: PacketNumber(5) };
        [&header.encode()[..], &[0; PACKET_OVERHEAD]].concat()
    };
    transfer(&yoda, &luke, &path);
    for _ in 0..100 {
        for datagram in [b"hello".to_vec(), forged(77), forged(20)] {
            stranger.send_to(&datagram, luke.address()).unwrap();
        }
    }
    assert!(matches!(luke.ended(), Progress::Done { .. }));
    assert!(matches!(yoda.ended(), Progress::Done { .. }));
    assert!(fs::read(luke.downloads.path().join("yoda_x")).unwrap() == bytes);
    let end = Instant::now() + PATIENCE;
    loop {
        let dropped = luke.endpoint.dropped();
        // An index is unknown until its transfer has started.
        if dropped.not_ours == 100 && dropped.forged + dropped.unknown_index >= 200 && dropped.unknown_index >= 100 {
            break;
        }
        assert!(Instant::now() < end, "{dropped:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_download_folder_that_is_not_there_fails_the_transfer_at_both_ends() {
    let (yoda, luke) = (End::new("127.0.0.1:0", 1_200), End::new("127.0.0.1:0", 1_200));
    fs::remove_dir(luke.downloads.path()).unwrap();
    let (_directory, path) = file("x", b"hello");
    transfer(&yoda, &luke, &path);
    let ended = luke.ended();
    let directory = luke.downloads.path().to_str().unwrap();
    assert!(matches!(&ended, Progress::Failed(TransferFailure::Write(why)) if why.contains(directory)), "{ended:?}");
    assert_eq!(yoda.ended(), Progress::Failed(TransferFailure::PeerStorage));
}

#[test]
fn labels_of_the_sender_never_leave_the_download_folder() {
    let (yoda, luke) = (End::new("127.0.0.1:0", 1_200), End::new("127.0.0.1:0", 1_200));
    let (_directory, path) = file("x", b"hello");
    let (source, _, bytes) = Source::open(&path).unwrap();
    let ours = |to: &End, local: u32, other: u32, side| Start {
        listing: None,
        transfer: OfferId(1),
        remote: to.address(),
        local_index: PeerIndex(local),
        remote_index: PeerIndex(other),
        agreement: agreement(to),
        bytes: Some(bytes),
        side,
    };
    let label = FileLabel::new("../../etc/passwd");
    luke.endpoint.start(ours(&yoda, 2, 1, Side::Receive { from: user("yoda"), label, into: Destination::File }), None);
    yoda.endpoint.start(ours(&luke, 1, 2, Side::Send { source: SourceId(1) }), Some(source.into()));
    assert!(matches!(luke.ended(), Progress::Done { .. }));
    assert_eq!(names(luke.downloads.path()), ["yoda_passwd"]);
}
