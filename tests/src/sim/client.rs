//! A client as a node: the real machines of a client and of its transfers, driven.

mod connection;
mod files;
mod transfers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;

use toom_core::client::Client;
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::{AcceptPolicy, Input, Output};
use toom_core::client::people::Person;
use toom_core::config::TransferConfig;
use toom_core::id::{ConnectionId, OfferId};
use toom_core::link::{Input as LinkInput, Link};
use toom_core::machine::Machine;
use toom_core::time::Instant;
use toom_core::transfer::io::{Dropped, Input as TransferInput};
use toom_core::transfer::{Keys, Opened, Transfers, Unopened};
use toom_core::wire::codec::encode;
use toom_core::wire::ecn::Ecn;
use toom_core::wire::message::ServerMessage;

use super::countdown::Countdown;
use super::dice::Dice;
use super::disk::{Content, Disk, Work};
use super::early::{EarlyWakes, is_idle};
use super::fault::DiskTrouble;
use super::keys;
use super::network::{Context, Toward};
use super::options::WorkOptions;
use super::stream::Item;
use crate::invariants::{Observation, Woken};

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
    link: Link<ServerMessage>,
    /// From which the seeds of its connections come after the first one.
    dice: Dice,
    address: SocketAddr,
    disk: Disk,
    files: BTreeMap<PathBuf, Content>,
    /// What it keeps of people, the oldest first.
    people: Vec<Person>,
    keys: Keys,
    running: BTreeSet<OfferId>,
    dropped: Dropped,
    state: State,
    early: EarlyWakes,
    countdown: Countdown,
}

/// How a client begins.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Its address, and the UDP port that it binds.
    pub address: SocketAddr,
    /// What it does with offers.
    pub accept: AcceptPolicy,
    /// How its transfers are packed.
    pub transfer: TransferConfig,
    /// What is in its folder already.
    pub downloads: BTreeMap<String, Vec<u8>>,
    /// Whom it knows already.
    pub people: Vec<Person>,
    /// Whether it comes back by itself when its connection is lost.
    pub reconnect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The machine wants another connection, which nobody has made yet.
    Wanting,
    /// Another connection is being made: the other end has not proved itself yet.
    Connecting,
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
        let ClientOptions { address, accept, transfer, downloads, people, reconnect } = options;
        let device = keys::device(address.ip());
        ClientNode {
            number,
            events: VecDeque::new(),
            machine: Client::new(accept, address.port(), device.secret.clone(), dice.seed(), reconnect),
            transfers: Transfers::new(transfer, device.secret.clone(), dice.seed()),
            inbox: VecDeque::new(),
            connection,
            link: Link::client(now, device, dice.seed(), Some(keys::server_key())),
            address,
            disk: Disk::new(work, dice.fork(), downloads),
            files: BTreeMap::new(),
            people,
            keys: Keys::default(),
            running: BTreeSet::new(),
            dropped: Dropped::default(),
            state: State::Open,
            early: EarlyWakes::new(work.early_wakes, dice.fork()),
            dice,
            countdown: Countdown::default(),
        }
    }

    /// The person asks for something. `files` are those that exist.
    pub fn command(&mut self, ctx: &mut Context<'_>, command: Command, files: &BTreeMap<PathBuf, Content>) {
        if let Command::SendFiles { paths, .. } = &command
            && let [path] = &paths[..]
            && let Some(content) = files.get(path)
        {
            self.files.insert(path.clone(), content.clone());
        }
        self.inbox.push_back(Happened::ForClient(Input::Command(command)));
        self.run(ctx);
    }

    /// Something arrived on the connection.
    pub fn arrived(&mut self, ctx: &mut Context<'_>, connection: ConnectionId, item: Item) {
        if !self.reads(connection) {
            return;
        }
        let arrived = match item {
            Item::Opened => Vec::new(),
            Item::Bytes(mut bytes) => self.link.handle(ctx.now, LinkInput::Bytes(&mut bytes)),
            Item::Ended => self.link.handle(ctx.now, LinkInput::Ended),
        };
        ctx.observe(&Observation::Link { half: &self.link.inbound, deadline: self.link.inbound.deadline() });
        self.decoded(ctx, arrived);
        self.run(ctx);
    }

    /// A datagram arrived.
    pub fn datagram(&mut self, ctx: &mut Context<'_>, from: SocketAddr, datagram: Vec<u8>) {
        let mut bytes = datagram.clone();
        let opened = self.keys.open(&mut bytes);
        let (client, is_packet) = (self.number, matches!(opened, Ok(Opened::Packet(..))));
        ctx.observe(&Observation::DatagramArrives { client, from, datagram: &datagram, opened: is_packet });
        match opened {
            Ok(Opened::Packet(header, payload)) => {
                self.tell_transfers(
                    ctx,
                    TransferInput::Datagram { from, header, payload, ecn: Ecn::NotCapable },
                    payload,
                );
            }
            Ok(Opened::Handshake(datagram)) => {
                self.tell_transfers(ctx, TransferInput::Handshake { from, datagram }, &[]);
            }
            Err(Unopened::NotOurs) => return self.dropped.not_ours += 1,
            Err(Unopened::UnknownIndex) => return self.dropped.unknown_index += 1,
            Err(Unopened::Forged) => return self.dropped.forged += 1,
        }
        self.run(ctx);
    }

    /// There is room again on the way to the server.
    pub fn writable(&mut self, ctx: &mut Context<'_>) {
        self.run(ctx);
    }

    /// The deadline has passed.
    pub fn woke(&mut self, ctx: &mut Context<'_>) {
        if self.early.take_due(ctx.now) {
            self.wake_early(ctx);
        }
        while let Some(work) = self.disk.pop_due(ctx.now) {
            self.done(ctx, work);
        }
        if self.has_connection() && !is_idle(&self.link.inbound, ctx.now) {
            let arrived = self.link.handle(ctx.now, LinkInput::Woke);
            self.decoded(ctx, arrived);
        }
        if !is_idle(&self.machine, ctx.now) {
            self.inbox.push_back(Happened::ForClient(Input::Woke));
        }
        if !is_idle(&self.transfers, ctx.now) {
            self.inbox.push_back(Happened::ForTransfers(TransferInput::Woke));
        }
        self.run(ctx);
    }

    /// When the node must wake.
    pub fn deadline(&self) -> Option<Instant> {
        let link = if self.has_connection() { self.link.inbound.deadline() } else { None };
        let of_machines = [self.machine.deadline(), self.transfers.deadline(), link];
        of_machines.into_iter().chain([self.disk.deadline(), self.early.deadline()]).flatten().min()
    }

    /// What the person was told and has not been taken yet.
    pub fn events(&mut self) -> &mut VecDeque<Event> {
        &mut self.events
    }

    /// The process will die after so many more effects.
    pub fn crash_after(&mut self, effects: u32) {
        self.countdown.start(effects);
    }

    /// It will not.
    pub fn cancel_crash(&mut self) {
        self.countdown.cancel();
    }

    /// Whether the process has died.
    pub fn is_dead(&self) -> bool {
        self.countdown.is_over()
    }

    /// Its disk goes wrong in this way, too, from now on.
    pub fn spoil_disk(&mut self, trouble: DiskTrouble) {
        self.disk.spoil(trouble);
    }

    /// Its disk is well again.
    pub fn mend_disk(&mut self) {
        self.disk.mend();
    }

    /// What it keeps of people.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// What it leaves behind.
    pub fn into_disk(self) -> Disk {
        self.disk
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

    /// Whether it is sending or receiving a file.
    pub fn is_transferring(&self) -> bool {
        !self.running.is_empty()
    }

    /// Datagrams that never reached the machine.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Does what there is to do now.
    fn run(&mut self, ctx: &mut Context<'_>) {
        self.work(ctx);
        for kind in self.disk.take_suffered() {
            ctx.network.count(kind);
        }
    }

    /// Gives the machines what is waiting, and writes, until nothing is left to do now.
    fn work(&mut self, ctx: &mut Context<'_>) {
        while !self.is_dead() {
            while let Some(happened) = self.inbox.pop_front() {
                match happened {
                    Happened::ForClient(input) => self.tell(ctx, input),
                    Happened::ForTransfers(input) => self.tell_transfers(ctx, input, &[]),
                };
                if self.is_dead() {
                    return;
                }
            }
            if self.has_connection() {
                ctx.observe(&Observation::Link { half: &self.link.outbound, deadline: None });
                ctx.network.flush(ctx.now, self.connection, Toward::Server, &mut self.link.outbound);
            }
            if self.state == State::Closing && self.link.outbound.pending().is_empty() {
                self.disconnect(ctx, "this client closed the connection".into());
            }
            if self.inbox.is_empty() {
                self.early.plan(ctx.now);
                return;
            }
        }
    }

    /// Tells the machine, and carries out what it says; how much that was.
    fn tell(&mut self, ctx: &mut Context<'_>, input: Input) -> usize {
        ctx.observe(&Observation::ClientHears(self.number, &input));
        let mut out = Vec::new();
        self.machine.handle(ctx.now, input, &mut out);
        ctx.observe(&Observation::ClientHandled(self.number, &self.machine));
        let said = out.len();
        for output in out {
            ctx.observe(&Observation::ClientSays(self.number, &output));
            self.carry_out(ctx, output);
            if self.countdown.count() {
                break;
            }
        }
        said
    }

    /// Likewise for the transfers. `payload` is that of the datagram at hand.
    fn tell_transfers(&mut self, ctx: &mut Context<'_>, input: TransferInput<'_>, payload: &[u8]) -> usize {
        ctx.observe(&Observation::TransfersHear(self.number, &input));
        let mut out = Vec::new();
        self.transfers.handle(ctx.now, input, &mut out);
        ctx.observe(&Observation::TransfersHandled(self.number, &self.transfers));
        let said = out.len();
        for output in out {
            ctx.observe(&Observation::TransfersSay(self.number, &output));
            self.carry_out_transfer(ctx, output, payload);
            if self.countdown.count() {
                break;
            }
        }
        said
    }

    /// Wakes machines that have nothing to do yet.
    fn wake_early(&mut self, ctx: &mut Context<'_>) {
        if is_idle(&self.machine, ctx.now) {
            let said = self.tell(ctx, Input::Woke);
            ctx.observe(&Observation::WokenEarly { machine: Woken::Client(self.number), said });
        }
        if is_idle(&self.transfers, ctx.now) && !self.is_dead() {
            let said = self.tell_transfers(ctx, TransferInput::Woke, &[]);
            ctx.observe(&Observation::WokenEarly { machine: Woken::Transfers(self.number), said });
        }
        if self.has_connection() && is_idle(&self.link.inbound, ctx.now) && !self.is_dead() {
            let arrived = self.link.handle(ctx.now, LinkInput::Woke);
            let machine = Woken::Link(self.connection, Toward::Client);
            ctx.observe(&Observation::WokenEarly { machine, said: arrived.len() });
            self.decoded(ctx, arrived);
        }
    }

    fn carry_out(&mut self, ctx: &mut Context<'_>, output: Output) {
        match output {
            Output::Send(request) => {
                if self.state == State::Open && self.link.outbound.push(&encode(&request)).is_err() {
                    self.disconnect(ctx, "the server reads too slowly".into());
                }
            }
            Output::Disconnect => {
                if self.state == State::Open {
                    self.state = State::Closing;
                }
            }
            Output::Connect => self.wants_connection(ctx),
            Output::Event(event) => {
                ctx.note(format_args!("client {}: {event:?}", self.number));
                self.events.push_back(event);
            }
            Output::OpenSource { source, mut paths } => {
                let path = paths.pop().unwrap_or_default();
                self.disk.ask(ctx.now, Work::Open { source, path });
            }
            Output::CloseSource { source } => self.disk.close_source(source),
            Output::Start(start) => self.start(start),
            Output::Remember(person) => match self.people.iter_mut().find(|known| known.name == person.name) {
                Some(known) => *known = person,
                None => self.people.push(person),
            },
            Output::Cancel { transfer, keep } => {
                self.inbox.push_back(Happened::ForTransfers(TransferInput::Cancel { transfer, keep }));
            }
        }
    }
}
