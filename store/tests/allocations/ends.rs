//! Both ends of a transfer in one thread, without sockets, and what each of them allocates on its way.
//!
//! Datagrams are handed over in memory that was there before, in turns of virtual time, so that a run is the same
//! each time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use allocation_counter::measure;
use toom_core::client::io::{Destination, Progress, Side, SourceId, Start};
use toom_core::config::TransferConfig;
use toom_core::id::{OfferId, PeerIndex};
use toom_core::machine::Machine;
use toom_core::name::UserName;
use toom_core::secure::{PeerAgreement, PeerSecret, PublicKey, SecretKey, Suite};
use toom_core::text::FileLabel;
use toom_core::time::Instant;
use toom_core::transfer::io::{Input, Output};
use toom_core::transfer::{Keys, Opened, Transfers};
use toom_core::wire::ecn::Ecn;
use toom_store::files::{ContentSource, Disk, Job, Source};

const TRANSFER: OfferId = OfferId(1);

/// Between two turns of an end; so a round trip takes twice as long.
const TURN: Duration = Duration::from_micros(50);

/// More than a turn sends.
const WIRE_BYTES: usize = 4 * 1024 * 1024;

/// What an end allocated while the middle half of a file moved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allocated {
    /// How often.
    pub(crate) times: u64,
    /// How much.
    pub(crate) bytes: u64,
}

/// What a whole transfer came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// That the sender sent while the middle half of the file moved.
    pub(crate) packets: u64,
    pub(crate) sender: Allocated,
    pub(crate) receiver: Allocated,
}

/// Moves a file of `bytes` from `directory` into it.
pub(crate) fn transfer(directory: &Path, bytes: u64) -> Outcome {
    let path = directory.join("source");
    std::fs::File::create(&path).and_then(|file| file.set_len(bytes)).expect("a file");
    let (mut sender, mut receiver) = (End::new(directory, 1), End::new(directory, 2));
    let (source, ..) = Source::open(&path).expect("opened");
    let (for_sender, for_receiver) = (sender.device, receiver.device);
    receiver.start(start(1, 2, bytes, for_sender, receiving()), None);
    sender.start(start(2, 1, bytes, for_receiver, Side::Send { source: SourceId(1) }), Some(source.into()));

    let data = TransferConfig::MIN_PAYLOAD as u64;
    let middle = bytes / data / 4..bytes / data * 3 / 4;
    let (mut now, mut outcome) =
        (Instant::ZERO, Outcome { packets: 0, sender: Allocated::default(), receiver: Allocated::default() });
    while !(sender.is_done && receiver.is_done) {
        now = now + TURN;
        let before = sender.packets_sent();
        let by_sender = measure(|| sender.turn(now, &mut receiver.wire));
        let by_receiver = measure(|| receiver.turn(now, &mut sender.wire));
        if middle.contains(&before) {
            outcome.packets += sender.packets_sent() - before;
            for (end, by) in [(&mut outcome.sender, by_sender), (&mut outcome.receiver, by_receiver)] {
                end.times += by.count_total;
                end.bytes += by.bytes_total;
            }
        }
        assert!(now < Instant::ZERO + Duration::from_secs(60), "the transfer does not end");
    }
    outcome
}

fn receiving() -> Side {
    Side::Receive {
        from: UserName::new("leia").expect("a name"),
        label: FileLabel::new("film.mp4"),
        into: Destination::File,
    }
}

fn start(local: u32, remote: u32, bytes: u64, device: PublicKey, side: Side) -> Start {
    let agreement =
        PeerAgreement { remote: device, shared: PeerSecret([7; 32]), context: [0; 32], suite: Suite::AesGcm };
    Start {
        listing: None,
        transfer: TRANSFER,
        remote: address(remote),
        local_index: PeerIndex(local),
        remote_index: PeerIndex(remote),
        agreement,
        bytes: Some(bytes),
        side,
    }
}

fn address(end: u32) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], u16::try_from(end).expect("small")))
}

/// Datagrams on their way, as bursts: where each ends, and the size of its datagrams.
struct Wire {
    from: SocketAddr,
    bytes: Vec<u8>,
    bursts: Vec<(usize, usize)>,
}

impl Wire {
    fn send(&mut self, datagrams: &[u8], segment_size: usize) {
        assert!(self.bytes.len() + datagrams.len() <= WIRE_BYTES, "a turn sends more than was thought");
        self.bytes.extend_from_slice(datagrams);
        self.bursts.push((self.bytes.len(), segment_size));
    }
}

/// What a driver is, without waiting.
struct End {
    device: PublicKey,
    machine: Transfers,
    keys: Keys,
    disk: Disk,
    jobs: Receiver<Job>,
    out: Vec<Output>,
    burst: Vec<u8>,
    wire: Wire,
    is_done: bool,
}

impl End {
    fn new(directory: &Path, number: u8) -> End {
        let secret = SecretKey::new([number; 32]);
        let (start_job, jobs) = channel();
        End {
            device: secret.public(),
            machine: Transfers::new(
                TransferConfig { payload: Some(TransferConfig::MIN_PAYLOAD), ..TransferConfig::default() },
                secret,
                [number; 32],
            ),
            keys: Keys::default(),
            disk: Disk::new(directory.to_owned(), move |job| start_job.send(job).expect("the end waits")),
            jobs,
            out: Vec::new(),
            burst: Vec::new(),
            wire: Wire {
                from: address(number.into()),
                bytes: Vec::with_capacity(WIRE_BYTES),
                bursts: Vec::with_capacity(WIRE_BYTES / 1_000),
            },
            is_done: false,
        }
    }

    fn start(&mut self, start: Start, source: Option<ContentSource>) {
        self.disk.open(&start, source);
        self.handle(Instant::ZERO, Input::Start(start), &[]);
    }

    fn packets_sent(&self) -> u64 {
        self.machine.counters(TRANSFER).map_or(0, |counters| counters.packets_sent)
    }

    /// What arrived, what is due, and what was done elsewhere.
    fn turn(&mut self, now: Instant, arrived: &mut Wire) {
        let mut start = 0;
        for (end, segment_size) in arrived.bursts.drain(..) {
            for datagram in arrived.bytes[start..end].chunks_mut(segment_size) {
                match self.keys.open(datagram).expect("nobody forges") {
                    Opened::Packet(header, payload) => {
                        self.handle(
                            now,
                            Input::Datagram { from: arrived.from, header, payload, ecn: Ecn::Ect0 },
                            payload,
                        );
                    }
                    Opened::Handshake(datagram) => {
                        self.handle(now, Input::Handshake { from: arrived.from, datagram }, &[]);
                    }
                }
            }
            start = end;
        }
        arrived.bytes.clear();
        self.disk.flush();
        self.carry_out(now, &[]);
        if self.machine.deadline().is_some_and(|deadline| deadline <= now) {
            self.handle(now, Input::Woke, &[]);
        }
        while let Ok(job) = self.jobs.try_recv() {
            let finished = Cell::new(None);
            job.run(&|it| finished.set(Some(it)));
            self.disk.finished(finished.take().expect("it is done"));
            self.carry_out(now, &[]);
        }
    }

    fn handle(&mut self, now: Instant, input: Input<'_>, payload: &[u8]) {
        self.machine.handle(now, input, &mut self.out);
        self.carry_out(now, payload);
    }

    fn carry_out(&mut self, now: Instant, payload: &[u8]) {
        loop {
            let mut out = std::mem::take(&mut self.out);
            out.drain(..).for_each(|output| self.carry_out_one(output, payload));
            self.out = out;
            let Some(input) = self.disk.next_input() else { return };
            self.machine.handle(now, input, &mut self.out);
        }
    }

    fn carry_out_one(&mut self, output: Output, payload: &[u8]) {
        match output {
            Output::Handshake { datagram, .. } => self.wire.send(&datagram, datagram.len()),
            Output::Listen { index, transfer, keys } => self.keys.listen(index, transfer, &keys),
            Output::Forget { index, transfer } => self.keys.forget(index, transfer),
            Output::Release { .. } => panic!("nobody sends a stream"),
            Output::Read { transfer, offset, length, slot } => self.disk.read(transfer, offset, length, slot),
            Output::Burst(burst) => {
                self.keys.seal(&burst, |slot| self.disk.slot(burst.transfer, slot), &mut self.burst);
                self.wire.send(&self.burst, burst.segment_size);
            }
            Output::Write { transfer, offset, range } => self.disk.write(transfer, offset, &payload[range]),
            Output::Verify { transfer } => self.disk.verify(transfer),
            Output::Publish { transfer } => self.disk.publish(transfer),
            Output::Close { transfer, keep } => self.disk.close(transfer, keep),
            Output::Compare { .. } | Output::Restart { .. } => unreachable!("nothing was there"),
            Output::Survey { .. } | Output::CompareParts { .. } | Output::LeaveOut { .. } => {
                unreachable!("one file is sent")
            }
            Output::Report(report) => match report.progress {
                Progress::Done { .. } => self.is_done = true,
                Progress::Failed(why) => panic!("the transfer failed: {why}"),
                _ => {}
            },
        }
    }
}
