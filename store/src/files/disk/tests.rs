use std::fs;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};

use tempfile::TempDir;
use toom_core::id::PeerIndex;
use toom_core::name::UserName;
use toom_core::secure::{PeerAgreement, PeerSecret, PublicKey, Suite};
use toom_core::text::FileLabel;

use super::*;
use crate::files::{Finished, Source};
use toom_core::transfer::io::STREAM_BYTES;

const TRANSFER: OfferId = OfferId(7);

/// A disk whose jobs wait until they are asked for.
struct World {
    downloads: TempDir,
    disk: Disk,
    jobs: Receiver<Job>,
}

impl World {
    fn new() -> World {
        let downloads = tempfile::tempdir().expect("a directory");
        let (start_job, jobs) = mpsc::channel();
        let disk = Disk::new(downloads.path().to_owned(), move |job| start_job.send(job).expect("a test waits"));
        World { downloads, disk, jobs }
    }

    /// Begins to receive a file of which nothing is there.
    fn receive(&mut self, transfer: OfferId, bytes: u64) {
        self.begin(transfer, bytes);
        assert_eq!(self.heard(), said(&[prepared(transfer, Have::default())]));
    }

    fn begin(&mut self, transfer: OfferId, bytes: u64) {
        let from = UserName::new("yoda").expect("a name");
        self.disk.open(
            &start(
                transfer,
                Side::Receive { from, label: FileLabel::new("film.mp4"), into: Destination::File },
                Some(bytes),
            ),
            None,
        );
    }

    fn send(&mut self, content: &[u8]) {
        let path = self.downloads.path().join("source");
        fs::write(&path, content).expect("written");
        let (source, _, bytes) = Source::open(&path).expect("opened");
        let side = Side::Send { source: toom_core::client::io::SourceId(1) };
        self.disk.open(&start(TRANSFER, side, Some(bytes)), Some(source.into()));
    }

    /// Does the job that was handed out.
    fn work(&mut self) {
        let job = self.jobs.try_recv().expect("a job");
        let finished = std::cell::Cell::new(None);
        job.run(&|it| finished.set(Some(it)));
        self.disk.finished(finished.take().expect("it is done"));
    }

    /// What the machine must hear, as text.
    fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.disk.next_input()).map(|input| format!("{input:?}")).collect()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.downloads.path()).expect("read");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn start(transfer: OfferId, side: Side, bytes: Option<u64>) -> Start {
    Start {
        transfer,
        side,
        bytes,
        listing: None,
        local_index: PeerIndex(1),
        remote_index: PeerIndex(2),
        remote: SocketAddr::from(([127, 0, 0, 1], 9)),
        agreement: PeerAgreement {
            remote: PublicKey([0; 32]),
            shared: PeerSecret([0; 32]),
            context: [0; 32],
            suite: Suite::AesGcm,
        },
    }
}

fn prepared(transfer: OfferId, have: Have) -> Input<'static> {
    Input::Prepared { transfer, have }
}

fn said(inputs: &[Input<'_>]) -> Vec<String> {
    inputs.iter().map(|input| format!("{input:?}")).collect()
}

fn failed(reason: &str) -> Vec<String> {
    said(&[Input::StorageFailed { transfer: TRANSFER, reason: reason.into() }])
}

#[test]
fn a_file_is_written_verified_and_named() {
    let mut world = World::new();
    world.receive(TRANSFER, 10);
    world.disk.write(TRANSFER, 0, b"01234");
    world.disk.write(TRANSFER, 5, b"56789");
    world.disk.verify(TRANSFER);
    assert_eq!(world.heard(), said(&[Input::Written { transfer: TRANSFER, bytes: 10 }]));
    world.work();
    let blake3 = blake3::hash(b"0123456789").into();
    assert_eq!(world.heard(), said(&[Input::Verified { transfer: TRANSFER, blake3 }]));
    world.disk.publish(TRANSFER);
    assert_eq!(world.heard(), said(&[]));
    world.work();
    assert_eq!(world.heard(), said(&[Input::Published { transfer: TRANSFER, saved_as: "yoda_film.mp4".into() }]));
    world.disk.close(TRANSFER, true);
    assert_eq!(world.files(), ["yoda_film.mp4"]);
}

#[test]
fn neighbours_are_gathered_and_anything_else_is_written_apart() {
    let mut world = World::new();
    let other = OfferId(8);
    world.receive(TRANSFER, 100);
    world.receive(other, 100);
    let written = |transfer, bytes| Input::Written { transfer, bytes };
    for (transfer, offset) in [(TRANSFER, 0), (TRANSFER, 10), (TRANSFER, 30), (other, 40), (other, 40)] {
        world.disk.write(transfer, offset, &[1; 10]);
    }
    assert_eq!(world.heard(), said(&[written(TRANSFER, 20), written(TRANSFER, 10), written(other, 10)]));
    world.disk.flush();
    world.disk.flush();
    assert_eq!(world.heard(), said(&[written(other, 10)]));
    assert_eq!(world.disk.system_calls().total(), 4, "one for each of these");
}

#[test]
fn no_more_is_gathered_than_there_is_room_for() {
    let mut world = World::new();
    world.receive(TRANSFER, 10 * GATHERED_BYTES as u64);
    let piece = vec![1; GATHERED_BYTES / 4];
    for n in 0..9 {
        world.disk.write(TRANSFER, n * piece.len() as u64, &piece);
        assert!(world.disk.gathered.bytes.len() <= GATHERED_BYTES);
    }
    let bytes = GATHERED_BYTES as u64;
    let written = || Input::Written { transfer: TRANSFER, bytes };
    assert_eq!(world.heard(), said(&[written(), written()]));
}

#[test]
fn a_source_is_read_into_slots_and_its_hash_follows_the_end() {
    let mut world = World::new();
    world.send(b"0123456789");
    let read = |slot| Input::Read { transfer: TRANSFER, slot: SlotId(slot) };
    world.disk.read(TRANSFER, 0, 6, SlotId(0));
    world.disk.read(TRANSFER, 6, 4, SlotId(7));
    let hashed = Input::SourceHashed { transfer: TRANSFER, blake3: blake3::hash(b"0123456789").into() };
    assert_eq!(world.heard(), said(&[read(0), read(7), hashed]));
    assert_eq!(
        (world.disk.slot(TRANSFER, SlotId(0)), world.disk.slot(TRANSFER, SlotId(7))),
        (&b"012345"[..], &b"6789"[..])
    );
    world.disk.read(TRANSFER, 2, 3, SlotId(0));
    assert_eq!(world.heard(), said(&[read(0)]));
    assert_eq!(world.disk.slot(TRANSFER, SlotId(0)), b"234");
    assert_eq!(world.disk.system_calls().total(), 3);
}

#[test]
fn what_cannot_be_done_is_said_in_words() {
    let mut world = World::new();
    world.disk.read(TRANSFER, 0, 1, SlotId(0));
    assert_eq!(world.heard(), failed("the file is not open"));
    world.disk.publish(TRANSFER);
    assert_eq!(world.heard(), failed("the file is not open"));
    world.disk.write(TRANSFER, 0, b"x");
    world.disk.flush();
    assert_eq!(world.heard(), failed("the file is not open"));
    assert_eq!(world.disk.slot(TRANSFER, SlotId(0)), b"");

    let source = toom_core::client::io::SourceId(1);
    world.disk.open(&start(TRANSFER, Side::Send { source }, Some(1)), None);
    assert_eq!(world.heard(), failed("the file was not opened"));
    assert_eq!(world.disk.transfers(), [TRANSFER]);
    world.disk.close(TRANSFER, true);
    assert_eq!(world.disk.transfers(), []);

    world.send(b"abc");
    world.disk.read(TRANSFER, 0, 1, SlotId(SLOTS));
    assert_eq!(world.heard(), failed("there is no such buffer"));
}

#[test]
fn a_download_directory_that_is_not_there_fails_its_transfer_only() {
    let mut world = World::new();
    let gone = world.downloads.path().join("gone");
    world.disk.downloads = gone.clone();
    world.begin(TRANSFER, 3);
    let why = format!("{} cannot be used as the download directory: no such file or directory", gone.display());
    assert_eq!(world.heard(), failed(&why));
}

#[test]
fn a_transfer_that_is_closed_while_its_file_is_away_leaves_nothing_behind() {
    let mut world = World::new();
    world.receive(TRANSFER, 3);
    world.disk.write(TRANSFER, 0, b"abc");
    world.disk.verify(TRANSFER);
    // Only one job at a time has the file.
    world.disk.publish(TRANSFER);
    assert_eq!(world.heard().len(), 2);
    world.disk.close(TRANSFER, true);
    world.work();
    assert_eq!((world.heard(), world.files()), (said(&[]), vec![]), "so little is not worth keeping");
}

/// More than is worth keeping, and more than a record is about.
fn film() -> Vec<u8> {
    (0..10_u64 << 20).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn what_is_kept_is_gone_on_with() {
    let film = film();
    let half = film.len() / 2;
    let mut world = World::new();
    world.receive(TRANSFER, film.len() as u64);
    film[..half].chunks(65_536).zip(0..).for_each(|(piece, n)| world.disk.write(TRANSFER, n * 65_536, piece));
    world.disk.close(TRANSFER, true);
    assert_eq!(world.files().len(), 2, "the partial file and its journal");
    world.heard();
    for end in ["while it is looked at", "before anything came", "when all came"] {
        world.begin(TRANSFER, film.len() as u64);
        assert_eq!((world.heard(), world.files().len()), (said(&[]), 2));
        if end == "while it is looked at" {
            world.disk.close(TRANSFER, true);
            world.work();
            assert_eq!(world.heard(), said(&[]));
            continue;
        }
        world.work();
        let have = Have { bytes: half as u64, blake3: blake3::hash(&film[..half]).into() };
        assert_eq!(world.heard(), said(&[prepared(TRANSFER, have)]));
        if end == "before anything came" {
            world.disk.close(TRANSFER, true);
        }
    }
    world.disk.write(TRANSFER, half as u64, &film[half..]);
    world.disk.verify(TRANSFER);
    world.work();
    world.disk.publish(TRANSFER);
    world.work();
    world.disk.close(TRANSFER, true);
    assert_eq!(world.files(), ["yoda_film.mp4"], "and no journal");
    assert!(fs::read(world.downloads.path().join("yoda_film.mp4")).expect("read") == film);
}

#[test]
fn what_was_of_another_file_is_not_taken_for_its_beginning() {
    let (film, mut other) = (film(), film());
    other[7] ^= 1;
    let mut world = World::new();
    world.receive(TRANSFER, film.len() as u64);
    world.disk.write(TRANSFER, 0, &film[..film.len() / 2]);
    world.disk.close(TRANSFER, true);
    world.begin(TRANSFER, other.len() as u64);
    world.work();
    // Something is sent before it is said where the sender begins.
    world.disk.write(TRANSFER, 100, &other[100..200]);
    world.disk.restart(TRANSFER);
    world.disk.write(TRANSFER, 0, &other[..100]);
    world.disk.write(TRANSFER, 200, &other[200..]);
    world.disk.verify(TRANSFER);
    world.heard();
    world.work();
    let verified = Input::Verified { transfer: TRANSFER, blake3: blake3::hash(&other).into() };
    assert_eq!(world.heard(), said(&[verified]));
}

#[test]
fn the_beginning_of_a_source_is_hashed_elsewhere_and_counts_as_read() {
    for (bytes, rest) in [(4, Some(&b"456789"[..])), (10, None)] {
        let mut world = World::new();
        world.send(b"0123456789");
        world.disk.compare(TRANSFER, bytes);
        assert_eq!(world.heard(), said(&[]));
        world.work();
        let content = &b"0123456789"[..bytes as usize];
        let compared = Input::Compared { transfer: TRANSFER, blake3: blake3::hash(content).into() };
        let hashed = Input::SourceHashed { transfer: TRANSFER, blake3: blake3::hash(b"0123456789").into() };
        match rest {
            None => assert_eq!(world.heard(), said(&[compared, hashed])),
            Some(rest) => {
                assert_eq!(world.heard(), said(&[compared]));
                world.disk.read(TRANSFER, bytes, rest.len(), SlotId(0));
                assert_eq!(world.disk.slot(TRANSFER, SlotId(0)), rest);
                assert_eq!(world.heard(), said(&[Input::Read { transfer: TRANSFER, slot: SlotId(0) }, hashed]));
            }
        }
    }
}

#[test]
fn closing_forgets_what_was_gathered_and_removes_the_partial_file() {
    let mut world = World::new();
    world.receive(TRANSFER, 3);
    world.disk.write(TRANSFER, 0, b"abc");
    assert_eq!(world.files().len(), 1);
    world.disk.close(TRANSFER, false);
    world.disk.flush();
    assert_eq!((world.heard(), world.files()), (said(&[]), vec![]));
}

/// The news that a job brings, in the order of its calls.
fn wait_for(world: &mut World, news: &Receiver<Finished>) {
    let finished = news.recv_timeout(std::time::Duration::from_secs(30)).expect("there is news");
    world.disk.finished(finished);
}

/// Runs the job of a stream in a thread of its own, as a driver does.
fn run_apart(world: &World) -> Receiver<Finished> {
    let job = world.jobs.try_recv().expect("a job");
    assert!(job.waits());
    let (tell, news) = mpsc::channel();
    std::thread::spawn(move || job.run(&|it| drop(tell.send(it))));
    news
}

#[test]
fn a_stream_is_read_from_its_input_and_forgotten_when_it_has_arrived() {
    let mut world = World::new();
    world.disk.streams.0 = Some(Box::new(&b"0123456789"[..]));
    let side = Side::Send { source: toom_core::client::io::SourceId(1) };
    world.disk.open(&start(TRANSFER, side, None), None);
    let news = run_apart(&world);
    let (mut heard, blake3) = (Vec::new(), blake3::hash(b"0123456789").into());
    let end = said(&[Input::SourceHashed { transfer: TRANSFER, blake3 }]);
    while !heard.ends_with(&end) {
        wait_for(&mut world, &news);
        heard.extend(world.heard());
    }
    let available = said(&[Input::Available { transfer: TRANSFER, bytes: 10 }]);
    assert_eq!(heard[heard.len() - 2..][..1], available[..]);
    let read = said(&[Input::Read { transfer: TRANSFER, slot: SlotId(1) }]);
    world.disk.read(TRANSFER, 2, 5, SlotId(1));
    assert_eq!((world.heard(), world.disk.slot(TRANSFER, SlotId(1))), (read.clone(), &b"23456"[..]));
    world.disk.release(TRANSFER, 4);
    world.disk.read(TRANSFER, 4, 6, SlotId(1));
    assert_eq!((world.heard(), world.disk.slot(TRANSFER, SlotId(1))), (read, &b"456789"[..]));
    world.disk.read(TRANSFER, 3, 1, SlotId(1));
    assert_eq!(world.heard(), failed("that part of the stream is not there"));
}

#[test]
fn what_arrives_goes_to_the_output_in_order_and_counts_when_it_was_taken() {
    let mut world = World::new();
    let (mut output, input) = io::pipe().expect("a pipe");
    world.disk.streams.1 = Some(Box::new(input));
    let side = Side::Receive {
        from: UserName::new("yoda").expect("a name"),
        label: FileLabel::new("film.mp4"),
        into: Destination::Stream,
    };
    world.disk.open(&start(TRANSFER, side, Some(10)), None);
    assert_eq!(world.heard(), said(&[prepared(TRANSFER, Have::default())]));
    let news = run_apart(&world);
    world.disk.write(TRANSFER, 5, b"56789");
    assert_eq!(world.heard(), said(&[]), "its turn has not come");
    world.disk.write(TRANSFER, 0, b"01234");
    wait_for(&mut world, &news);
    assert_eq!(world.heard(), said(&[Input::Written { transfer: TRANSFER, bytes: 10 }]));
    let mut taken = [0; 10];
    io::Read::read_exact(&mut output, &mut taken).expect("read");
    assert_eq!(&taken, b"0123456789");
    world.disk.verify(TRANSFER);
    let blake3 = blake3::hash(b"0123456789").into();
    assert_eq!(world.heard(), said(&[Input::Verified { transfer: TRANSFER, blake3 }]));
    world.disk.publish(TRANSFER);
    assert_eq!(world.heard(), said(&[Input::Published { transfer: TRANSFER, saved_as: "-".into() }]));
    world.disk.write(TRANSFER, 10 + STREAM_BYTES as u64, b"x");
    assert_eq!(world.heard(), failed("more has come than there is room for"));
    world.disk.close(TRANSFER, true);
    assert_eq!(world.files(), [""; 0]);
}

#[test]
fn a_stream_is_saved_as_a_file_of_its_length_and_leaves_nothing_if_it_breaks() {
    let mut world = World::new();
    let side = || Side::Receive {
        from: UserName::new("yoda").expect("a name"),
        label: FileLabel::new("film.mp4"),
        into: Destination::File,
    };
    let long = vec![7; 3_000_000];
    world.disk.open(&start(TRANSFER, side(), None), None);
    world.disk.write(TRANSFER, 0, &long);
    world.disk.close(TRANSFER, true);
    assert_eq!(world.files(), [""; 0], "nobody can go on with it");
    world.heard();

    world.disk.open(&start(TRANSFER, side(), None), None);
    assert_eq!(world.heard(), said(&[prepared(TRANSFER, Have::default())]));
    world.disk.write(TRANSFER, 0, &long);
    world.disk.write(TRANSFER, 3_000_000, b"end");
    world.disk.verify(TRANSFER);
    world.work();
    world.disk.publish(TRANSFER);
    world.work();
    assert_eq!(world.files(), ["yoda_film.mp4"]);
    let saved = fs::read(world.downloads.path().join("yoda_film.mp4")).expect("read");
    assert!(saved.len() == 3_000_003 && saved.ends_with(b"\x07end"));
}
