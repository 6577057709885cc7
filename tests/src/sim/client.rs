//! A client as a node: the real machines of a client and of its transfers, driven.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;

use toom_core::client::Client;
use toom_core::client::command::Command;
use toom_core::client::event::{Event, TransferFailure};
use toom_core::client::io::{AcceptPolicy, Input, Output, Progress, Report, Side, SourceId, Start};
use toom_core::config::TransferConfig;
use toom_core::id::{ConnectionId, OfferId, PeerIndex};
use toom_core::link::{Inbound, Input as LinkInput, Outbound, Output as LinkOutput};
use toom_core::machine::Machine;
use toom_core::peer::build_burst;
use toom_core::secure::{OpeningKey, SealingKey};
use toom_core::text::FileLabel;
use toom_core::time::Instant;
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Burst, Dropped, Input as TransferInput, Output as TransferOutput};
use toom_core::wire::codec::encode;
use toom_core::wire::message::ServerMessage;
use toom_core::wire::packet::Header;

use super::dice::Dice;
use super::disk::{Content, Disk, Work};
use super::network::{Context, Toward};
use super::options::WorkOptions;
use super::stream::Item;
use crate::invariants::Observation;

/// A client.
#[derive(Debug)]
pub struct ClientNode {
    number: usize,
    /// In the order of their coming.
    events: VecDeque<Event>,
    machine: Client,
    transfers: Transfers,
    inbox: VecDeque<Happened>,
    connection: ConnectionId,
    inbound: Inbound<ServerMessage>,
    outbound: Outbound,
    address: SocketAddr,
    disk: Disk,
    files: BTreeMap<PathBuf, Content>,
    sealing: BTreeMap<OfferId, SealingKey>,
    opening: BTreeMap<PeerIndex, OpeningKey>,
    running: BTreeSet<OfferId>,
    dropped: Dropped,
    state: State,
}

/// How a client begins.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// Its address, and the UDP port that it binds.
    pub address: SocketAddr,
    /// What it does with offers.
    pub accept: AcceptPolicy,
    /// How its transfers are packed.
    pub transfer: TransferConfig,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The machine wants the connection closed once everything is written.
    Closing,
    /// The connection is closed.
    Closed,
}

#[derive(Debug)]
enum Happened {
    ForClient(Input),
    ForTransfers(TransferInput<'static>),
}

impl ClientNode {
    /// Client `number`, which is connecting.
    pub fn new(
        now: Instant,
        number: usize,
        connection: ConnectionId,
        options: ClientOptions,
        work: WorkOptions,
        mut dice: Dice,
    ) -> Self {
        let ClientOptions { address, accept, transfer } = options;
        ClientNode {
            number,
            events: VecDeque::new(),
            machine: Client::new(accept, address.port(), dice.seed()),
            transfers: Transfers::new(transfer, dice.seed()),
            inbox: VecDeque::new(),
            connection,
            inbound: Inbound::new(now),
            outbound: Outbound::new(),
            address,
            disk: Disk::new(work, dice.fork()),
            files: BTreeMap::new(),
            sealing: BTreeMap::new(),
            opening: BTreeMap::new(),
            running: BTreeSet::new(),
            dropped: Dropped::default(),
            state: State::Open,
        }
    }

    /// The person asks for something. `files` are those that exist.
    pub fn command(&mut self, ctx: &mut Context<'_>, command: Command, files: &BTreeMap<PathBuf, Content>) {
        if let Command::SendFile { path, .. } = &command
            && let Some(content) = files.get(path)
        {
            self.files.insert(path.clone(), content.clone());
        }
        self.inbox.push_back(Happened::ForClient(Input::Command(command)));
        self.run(ctx);
    }

    /// Something arrived on the connection.
    pub fn arrived(&mut self, ctx: &mut Context<'_>, item: Item) {
        if self.state == State::Closed {
            return;
        }
        let mut out = Vec::new();
        match item {
            Item::Opened => {}
            Item::Bytes(mut bytes) => self.inbound.handle(ctx.now, LinkInput::Bytes(&mut bytes), &mut out),
            Item::Ended => self.inbound.handle(ctx.now, LinkInput::Ended, &mut out),
        }
        self.decoded(ctx, out);
        self.run(ctx);
    }

    /// A datagram arrived.
    pub fn datagram(&mut self, ctx: &mut Context<'_>, from: SocketAddr, datagram: Vec<u8>) {
        let mut bytes = datagram.clone();
        let opened = self.open_datagram(&mut bytes);
        let arrives =
            Observation::DatagramArrives { client: self.number, from, datagram: &datagram, opened: opened.is_some() };
        ctx.observe(&arrives);
        if let Some((header, payload)) = opened {
            self.tell_transfers(ctx, TransferInput::Datagram { from, header, payload }, payload);
            self.run(ctx);
        }
    }

    /// There is room again on the way to the server.
    pub fn writable(&mut self, ctx: &mut Context<'_>) {
        self.run(ctx);
    }

    /// The deadline has passed.
    pub fn woke(&mut self, ctx: &mut Context<'_>) {
        while let Some(work) = self.disk.pop_due(ctx.now) {
            self.done(ctx, work);
        }
        let mut out = Vec::new();
        self.inbound.handle(ctx.now, LinkInput::Woke, &mut out);
        self.decoded(ctx, out);
        self.inbox.push_back(Happened::ForClient(Input::Woke));
        self.inbox.push_back(Happened::ForTransfers(TransferInput::Woke));
        self.run(ctx);
    }

    /// When the node must wake.
    pub fn deadline(&self) -> Option<Instant> {
        let link = if self.state == State::Closed { None } else { self.inbound.deadline() };
        [self.machine.deadline(), self.transfers.deadline(), self.disk.deadline(), link].into_iter().flatten().min()
    }

    /// What the person was told and has not been taken yet.
    pub fn events(&mut self) -> &mut VecDeque<Event> {
        &mut self.events
    }

    /// What it received, by name.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Where its datagrams go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Datagrams that never reached the machine.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn open_datagram<'a>(&mut self, datagram: &'a mut [u8]) -> Option<(Header, &'a [u8])> {
        let Ok(header) = Header::decode(datagram) else {
            self.dropped.not_ours += 1;
            return None;
        };
        let Some(key) = self.opening.get(&header.index) else {
            self.dropped.unknown_index += 1;
            return None;
        };
        let opened = key.open(header.number, datagram);
        self.dropped.forged += u64::from(opened.is_none());
        opened.map(|payload| (header, &*payload))
    }

    fn decoded(&mut self, ctx: &mut Context<'_>, out: Vec<LinkOutput<ServerMessage>>) {
        for output in out {
            match output {
                LinkOutput::Greeted => self.inbox.push_back(Happened::ForClient(Input::Connected)),
                LinkOutput::Message(message) => self.inbox.push_back(Happened::ForClient(Input::Message(message))),
                LinkOutput::Close(violation) => {
                    let reason = violation.map_or("the server closed the connection".into(), |v| v.to_string());
                    self.disconnect(ctx, reason);
                }
            }
        }
    }

    fn disconnect(&mut self, ctx: &mut Context<'_>, reason: String) {
        if self.state != State::Closed {
            self.state = State::Closed;
            ctx.network.end(ctx.now, self.connection, Toward::Server);
            self.inbox.push_back(Happened::ForClient(Input::Disconnected { reason }));
        }
    }

    /// Gives the machines what is waiting, and writes, until nothing is left to do now.
    fn run(&mut self, ctx: &mut Context<'_>) {
        loop {
            while let Some(happened) = self.inbox.pop_front() {
                match happened {
                    Happened::ForClient(input) => self.tell(ctx, input),
                    Happened::ForTransfers(input) => self.tell_transfers(ctx, input, &[]),
                }
            }
            if self.state != State::Closed {
                ctx.network.flush(ctx.now, self.connection, Toward::Server, &mut self.outbound);
            }
            if self.state == State::Closing && self.outbound.pending().is_empty() {
                self.disconnect(ctx, "this client closed the connection".into());
            }
            if self.inbox.is_empty() {
                return;
            }
        }
    }

    fn tell(&mut self, ctx: &mut Context<'_>, input: Input) {
        ctx.observe(&Observation::ClientHears(self.number, &input));
        let mut out = Vec::new();
        self.machine.handle(ctx.now, input, &mut out);
        ctx.observe(&Observation::ClientHandled(self.number, &self.machine));
        self.carry_out(ctx, out);
    }

    /// `payload` is that of the datagram at hand.
    fn tell_transfers(&mut self, ctx: &mut Context<'_>, input: TransferInput<'_>, payload: &[u8]) {
        ctx.observe(&Observation::TransfersHear(self.number, &input));
        let mut out = Vec::new();
        self.transfers.handle(ctx.now, input, &mut out);
        ctx.observe(&Observation::TransfersHandled(self.number, &self.transfers));
        self.carry_out_transfers(ctx, out, payload);
    }

    fn carry_out(&mut self, ctx: &mut Context<'_>, out: Vec<Output>) {
        for output in out {
            ctx.observe(&Observation::ClientSays(self.number, &output));
            match output {
                Output::Send(request) => {
                    if self.state == State::Open && self.outbound.push(&encode(&request)).is_err() {
                        self.disconnect(ctx, "the server reads too slowly".into());
                    }
                }
                Output::Disconnect => {
                    if self.state == State::Open {
                        self.state = State::Closing;
                    }
                }
                Output::Event(event) => {
                    ctx.note(format_args!("client {}: {event:?}", self.address));
                    self.events.push_back(event);
                }
                Output::OpenSource { source, path } => self.disk.ask(ctx.now, Work::Open { source, path }),
                Output::CloseSource { source } => self.disk.close_source(source),
                Output::Start(start) => self.start(start),
                Output::Cancel { transfer } => {
                    self.inbox.push_back(Happened::ForTransfers(TransferInput::Cancel { transfer }));
                }
            }
        }
    }

    fn start(&mut self, start: Start) {
        let transfer = start.transfer;
        let ready = match &start.side {
            Side::Send { source } => self.disk.start_source(transfer, *source),
            Side::Receive { from, label } => {
                self.disk.create_sink(transfer, from, label, start.bytes);
                true
            }
        };
        if ready {
            self.running.insert(transfer);
            self.inbox.push_back(Happened::ForTransfers(TransferInput::Start(start)));
        } else {
            let progress = Progress::Failed(TransferFailure::Read("the file is not open".into()));
            self.inbox.push_back(Happened::ForClient(Input::Report(Report { transfer, progress })));
        }
    }

    /// `payload` is that of the datagram at hand.
    fn carry_out_transfers(&mut self, ctx: &mut Context<'_>, out: Vec<TransferOutput>, payload: &[u8]) {
        for output in out {
            ctx.observe(&Observation::TransfersSay(self.number, &output));
            match output {
                TransferOutput::Listen { index, secret, role, transfer } => {
                    self.opening.insert(index, OpeningKey::new(&secret, role));
                    self.sealing.insert(transfer, SealingKey::new(&secret, role));
                }
                TransferOutput::Forget { index, transfer } => {
                    self.opening.remove(&index);
                    self.sealing.remove(&transfer);
                }
                TransferOutput::Read { transfer, offset, length, slot } => {
                    self.disk.ask(ctx.now, Work::Read { transfer, offset, length, slot });
                }
                TransferOutput::Burst(burst) => self.send(ctx, &burst),
                TransferOutput::Write { transfer, offset, range } => {
                    let bytes = range.len() as u64;
                    match self.disk.write(transfer, offset, &payload[range]) {
                        Ok(()) => self.disk.ask(ctx.now, Work::Written { transfer, bytes }),
                        Err(reason) => self.storage_failed(transfer, reason),
                    }
                }
                TransferOutput::Verify { transfer } => self.disk.ask(ctx.now, Work::Verify { transfer }),
                TransferOutput::Publish { transfer } => self.disk.ask(ctx.now, Work::Publish { transfer }),
                TransferOutput::Close { transfer } => {
                    self.running.remove(&transfer);
                    self.disk.close(transfer);
                }
                TransferOutput::Report(report) => self.inbox.push_back(Happened::ForClient(Input::Report(report))),
            }
        }
    }

    fn send(&mut self, ctx: &mut Context<'_>, burst: &Burst) {
        let Some(key) = self.sealing.get(&burst.transfer) else {
            panic!("a burst of {} without keys", burst.transfer);
        };
        let mut bytes = Vec::new();
        build_burst(burst.index, &burst.packets, key, |slot| self.disk.slot(burst.transfer, slot), &mut bytes);
        assert_eq!(bytes.chunks(burst.segment_size).len(), burst.packets.len(), "packets are of the segment's size");
        for datagram in bytes.chunks(burst.segment_size) {
            let (client, to) = (self.number, burst.to);
            ctx.observe(&Observation::DatagramSent { client, to, datagram });
            ctx.network.send(ctx.now, self.address, burst.to, datagram);
        }
    }

    fn storage_failed(&mut self, transfer: OfferId, reason: String) {
        self.inbox.push_back(Happened::ForTransfers(TransferInput::StorageFailed { transfer, reason }));
    }

    /// Work of the disk is done. What was closed meanwhile is not told.
    fn done(&mut self, ctx: &mut Context<'_>, work: Work) {
        match work {
            Work::Open { source, path } => self.open(source, &path),
            Work::Read { transfer, .. } | Work::Verify { transfer } | Work::Publish { transfer }
                if !self.running.contains(&transfer) => {}
            Work::Read { transfer, offset, length, slot } => match self.disk.read(transfer, offset, length, slot) {
                Ok(hash) => {
                    let (client, bytes) = (self.number, self.disk.slot(transfer, slot));
                    ctx.observe(&Observation::SourceRead { client, transfer, offset, bytes });
                    self.inbox.push_back(Happened::ForTransfers(TransferInput::Read { transfer, slot }));
                    let hashed = |blake3| Happened::ForTransfers(TransferInput::SourceHashed { transfer, blake3 });
                    self.inbox.extend(hash.map(hashed));
                }
                Err(reason) => self.storage_failed(transfer, reason),
            },
            Work::Written { transfer, bytes } => {
                self.inbox.push_back(Happened::ForTransfers(TransferInput::Written { transfer, bytes }));
            }
            Work::Verify { transfer } => match self.disk.hash(transfer) {
                Some(blake3) => {
                    self.inbox.push_back(Happened::ForTransfers(TransferInput::Verified { transfer, blake3 }));
                }
                None => self.storage_failed(transfer, "no such partial file".into()),
            },
            Work::Publish { transfer } => match self.disk.publish(transfer) {
                Some(saved_as) => {
                    let (client, content) = (self.number, &*self.disk.downloads()[&saved_as]);
                    ctx.observe(&Observation::Published { client, transfer, name: &saved_as, content });
                    self.inbox.push_back(Happened::ForTransfers(TransferInput::Published { transfer, saved_as }));
                }
                None => self.storage_failed(transfer, "no such partial file".into()),
            },
        }
    }

    fn open(&mut self, source: SourceId, path: &PathBuf) {
        let answer = match self.files.get(path) {
            Some(content) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let bytes = content.len() as u64;
                self.disk.opened(source, content.clone());
                Input::SourceOpened { source, label: FileLabel::new(&name), bytes }
            }
            None => Input::SourceFailed { source, missing: true, reason: "there is no such file".into() },
        };
        self.inbox.push_back(Happened::ForClient(answer));
    }
}
