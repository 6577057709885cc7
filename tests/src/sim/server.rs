//! The server as a node: the real machine, driven.

mod end;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use toom_core::id::{CheckId, ConnectionId};
use toom_core::link::{Arrived, Input as LinkInput, Link, Violation};
use toom_core::machine::Machine;
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::activity::Activity;
use toom_core::server::fact::Fact;
use toom_core::server::io::{CloseReason, Input, Output};
use toom_core::server::{Server, Settings};
use toom_core::time::Instant;
use toom_core::wire::codec::encode;
use toom_core::wire::message::Request;

use super::countdown::Countdown;
use super::dice::Dice;
use super::early::{EarlyWakes, is_idle};
use super::keys;
use super::network::{Context, Toward};
use super::options::WorkOptions;
use super::pending::Pending;
use super::store::{self, Durable, Store, Trouble};
use super::stream::Item;
use super::text_log::TextLogs;
use crate::invariants::{Observation, Woken};

/// The server.
#[derive(Debug)]
pub struct ServerNode {
    machine: Server,
    store: Store,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Connections with something to write.
    dirty: BTreeSet<ConnectionId>,
    checks: Pending<(CheckId, bool)>,
    inbox: VecDeque<Input<'static>>,
    work: WorkOptions,
    dice: Dice,
    text_logs: TextLogs,
    /// The latest.
    activities: VecDeque<Activity>,
    violations: Vec<Violation>,
    closes: Vec<CloseReason>,
    early: EarlyWakes,
    countdown: Countdown,
    /// How many proposals under way become durable when it dies.
    survive: u32,
    /// Whether it died with some effects of one input carried out and others not.
    died_midway: bool,
}

/// What an operator reads of a day at a glance.
const KEPT_ACTIVITIES: usize = 60;

#[derive(Debug)]
struct Connection {
    address: SocketAddr,
    link: Link<Request>,
    /// Whether it is closed as soon as everything is written.
    closing: bool,
}

impl ServerNode {
    /// A server that starts on what is durable.
    pub fn start(
        ctx: &mut Context<'_>,
        durable: Durable,
        settings: Settings,
        work: WorkOptions,
        mut dice: Dice,
    ) -> Self {
        let decoy = PasswordHash::new(&Password("decoy".into()), [1; 16], HashCost::Trivial);
        let log = durable.replay();
        let early = dice.fork();
        let mut node = ServerNode {
            machine: Server::new(settings, decoy, dice.seed()),
            store: Store::new(durable, work, dice.fork()),
            connections: BTreeMap::new(),
            dirty: BTreeSet::new(),
            checks: Pending::default(),
            inbox: VecDeque::new(),
            work,
            dice,
            text_logs: TextLogs::default(),
            activities: VecDeque::new(),
            violations: Vec::new(),
            closes: Vec::new(),
            early: EarlyWakes::new(work.early_wakes, early),
            countdown: Countdown::default(),
            survive: 0,
            died_midway: false,
        };
        ctx.observe(&Observation::ServerStarts { settings, log: &log });
        for committed in &log {
            node.tell(ctx, Input::Recovered { committed, wall: ctx.wall });
        }
        ctx.observe(&Observation::ServerRecovered(&node.machine));
        node.run(ctx);
        node
    }

    /// Something arrived on a connection.
    pub fn arrived(&mut self, ctx: &mut Context<'_>, connection: ConnectionId, address: SocketAddr, item: Item) {
        let arrived = match (item, self.connections.get_mut(&connection)) {
            (Item::Opened, None) => {
                self.accept(ctx, connection, address);
                Vec::new()
            }
            (Item::Bytes(mut bytes), Some(known)) if !known.closing => {
                let arrived = known.link.handle(ctx.now, LinkInput::Bytes(&mut bytes));
                let deadline = known.link.inbound.deadline();
                ctx.observe(&Observation::Link { half: &known.link.inbound, deadline });
                arrived
            }
            (Item::Ended, Some(known)) => known.link.handle(ctx.now, LinkInput::Ended),
            _ => Vec::new(),
        };
        // The handshake may have something to write.
        self.dirty.insert(connection);
        self.decoded(ctx, connection, arrived);
        self.run(ctx);
    }

    /// There is room again on the way to a client.
    pub fn writable(&mut self, ctx: &mut Context<'_>, connection: ConnectionId) {
        self.dirty.insert(connection);
        self.run(ctx);
    }

    /// The deadline of the node has passed.
    pub fn woke(&mut self, ctx: &mut Context<'_>) {
        if self.early.take_due(ctx.now) {
            self.wake_early(ctx);
        }
        while let Some((check, matches)) = self.checks.pop_due(ctx.now) {
            self.inbox.push_back(Input::PasswordChecked { check, matches, wall: ctx.wall });
        }
        self.ask_store(ctx, store::Input::Woke);
        if !is_idle(&self.machine, ctx.now) {
            self.inbox.push_back(Input::Woke { wall: ctx.wall });
        }
        self.run(ctx);
    }

    /// The deadline of a connection has passed.
    pub fn connection_woke(&mut self, ctx: &mut Context<'_>, connection: ConnectionId) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        let arrived = known.link.handle(ctx.now, LinkInput::Woke);
        self.decoded(ctx, connection, arrived);
        self.run(ctx);
    }

    /// When the node must wake.
    pub fn deadline(&self) -> Option<Instant> {
        let of_work = [self.store.deadline(), self.checks.deadline(), self.early.deadline()];
        of_work.into_iter().chain([self.machine.deadline()]).flatten().min()
    }

    /// When a connection must wake.
    pub fn connection_deadline(&self, connection: ConnectionId) -> Option<Instant> {
        self.connections.get(&connection).and_then(|known| known.link.inbound.deadline())
    }

    /// Another process appends a fact to the same log; whether it could.
    pub fn append(&mut self, ctx: &mut Context<'_>, fact: Fact) -> bool {
        let committed = self.store.append(ctx.now, fact);
        if let Some(committed) = &committed {
            ctx.observe(&Observation::Durable(committed));
        }
        committed.is_some()
    }

    /// How the disk of the log goes wrong.
    pub fn disk_trouble(&mut self) -> &mut Trouble {
        self.store.trouble()
    }

    /// Whether it cannot write any more, and needs a restart.
    pub fn has_stopped_writing(&self) -> bool {
        self.store.has_stopped()
    }

    /// Its machine.
    pub fn machine(&self) -> &Server {
        &self.machine
    }

    /// How many connections it has, greeted or not.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What is durable now.
    pub fn durable(&self) -> &Durable {
        self.store.durable()
    }

    /// What it told its operator, lately.
    pub fn activities(&self) -> &VecDeque<Activity> {
        &self.activities
    }

    /// The text logs.
    pub fn text_logs(&self) -> &TextLogs {
        &self.text_logs
    }

    /// How connections misbehaved, in order.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Why the machine closed connections, in order.
    pub fn closes(&self) -> &[CloseReason] {
        &self.closes
    }

    fn accept(&mut self, ctx: &mut Context<'_>, connection: ConnectionId, address: SocketAddr) {
        ctx.network.accept(ctx.now, connection);
        let link = Link::server(ctx.now, keys::server(), self.dice.seed());
        self.connections.insert(connection, Connection { address, link, closing: false });
        self.inbox.push_back(Input::Accepted { connection, address });
    }

    fn decoded(&mut self, ctx: &mut Context<'_>, connection: ConnectionId, arrived: Vec<Arrived<Request>>) {
        for arrived in arrived {
            match arrived {
                Arrived::Established(device) => {
                    let Some(known) = self.connections.get(&connection) else { return };
                    self.inbox.push_back(Input::Connected { connection, address: known.address, device });
                }
                Arrived::Message(request) => {
                    self.inbox.push_back(Input::Request { connection, request, wall: ctx.wall });
                }
                Arrived::Closed(violation) => {
                    self.violations.extend(violation);
                    self.drop_connection(ctx, connection);
                }
            }
        }
    }

    fn drop_connection(&mut self, ctx: &mut Context<'_>, connection: ConnectionId) {
        if self.connections.remove(&connection).is_some() {
            ctx.network.end(ctx.now, connection, Toward::Client);
            self.inbox.push_back(Input::Disconnected { connection, wall: ctx.wall });
        }
    }

    /// Gives the machine what is waiting, and writes, until nothing is left to do now.
    fn run(&mut self, ctx: &mut Context<'_>) {
        while !self.is_dead() {
            while let Some(input) = self.inbox.pop_front() {
                // That an answer of the store gets here is an effect, too: it may be durable and never heard of.
                if is_completion(&input) && self.countdown.count() {
                    return;
                }
                self.tell(ctx, input);
                if self.is_dead() {
                    return;
                }
            }
            for connection in core::mem::take(&mut self.dirty) {
                let Some(known) = self.connections.get_mut(&connection) else { continue };
                ctx.observe(&Observation::Link { half: &known.link.outbound, deadline: None });
                ctx.network.flush(ctx.now, connection, Toward::Client, &mut known.link.outbound);
                if known.closing && known.link.outbound.pending().is_empty() {
                    self.drop_connection(ctx, connection);
                }
            }
            if self.inbox.is_empty() {
                self.early.plan(ctx.now);
                return;
            }
        }
    }

    /// Tells the machine, and carries out what it says; how much that was.
    fn tell(&mut self, ctx: &mut Context<'_>, input: Input<'_>) -> usize {
        ctx.observe(&Observation::ServerHears(&input));
        let mut out = Vec::new();
        self.machine.handle(ctx.now, input, &mut out);
        ctx.observe(&Observation::ServerHandled(&self.machine));
        let said = out.len();
        let mut left = said;
        for output in out {
            ctx.observe(&Observation::ServerSays(&output));
            self.carry_out(ctx, output);
            left -= 1;
            if self.countdown.count() {
                self.died_midway = left > 0;
                break;
            }
        }
        said
    }

    /// Wakes machines that have nothing to do yet.
    fn wake_early(&mut self, ctx: &mut Context<'_>) {
        if is_idle(&self.machine, ctx.now) {
            let said = self.tell(ctx, Input::Woke { wall: ctx.wall });
            ctx.observe(&Observation::WokenEarly { machine: Woken::Server, said });
        }
        let (now, mut decoded) = (ctx.now, Vec::new());
        for (connection, known) in self.connections.iter_mut().filter(|(_, known)| is_idle(&known.link.inbound, now)) {
            let arrived = known.link.handle(now, LinkInput::Woke);
            let machine = Woken::Link(*connection, Toward::Server);
            ctx.observe(&Observation::WokenEarly { machine, said: arrived.len() });
            decoded.push((*connection, arrived));
        }
        for (connection, arrived) in decoded {
            self.decoded(ctx, connection, arrived);
        }
    }

    fn carry_out(&mut self, ctx: &mut Context<'_>, output: Output) {
        match output {
            Output::Send { to, message } => {
                let frame = encode(&message);
                for connection in to {
                    self.push(ctx, connection, &frame);
                }
            }
            Output::Close { connection, reason } => {
                self.closes.push(reason);
                if let Some(known) = self.connections.get_mut(&connection) {
                    known.closing = true;
                    self.dirty.insert(connection);
                }
            }
            Output::CheckPassword { check, password, hash } => {
                let at = ctx.now + self.dice.up_to(self.work.password);
                self.checks.push(at, (check, hash.matches(&password)));
            }
            Output::Propose { ticket, fact } => {
                self.ask_store(ctx, store::Input::Proposed(ticket, fact));
            }
            Output::Record(message) => self.ask_store(ctx, store::Input::Recorded(message)),
            Output::Query { query, what } => self.ask_store(ctx, store::Input::Asked(query, what)),
            Output::Activity(activity) => self.note(ctx, &activity),
        }
    }

    fn push(&mut self, ctx: &mut Context<'_>, connection: ConnectionId, frame: &[u8]) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        if known.closing {
            return;
        }
        match known.link.outbound.push(frame) {
            Ok(()) => {
                self.dirty.insert(connection);
            }
            Err(_full) => self.drop_connection(ctx, connection),
        }
    }

    fn note(&mut self, ctx: &mut Context<'_>, activity: &Activity) {
        self.text_logs.activity(activity);
        if self.activities.len() == KEPT_ACTIVITIES {
            self.activities.pop_front();
        }
        self.activities.push_back(activity.clone());
        ctx.note(format_args!("server: {activity:?}"));
    }

    fn ask_store(&mut self, ctx: &mut Context<'_>, input: store::Input) {
        let mut out = Vec::new();
        self.store.handle(ctx.now, input, &mut out);
        let wall = ctx.wall;
        for output in out {
            self.inbox.push_back(match output {
                store::Output::Committed(committed) => {
                    // What others appended was observed when they did.
                    if committed.ticket.is_some() {
                        ctx.observe(&Observation::Durable(&committed));
                    }
                    Input::Committed { committed, wall }
                }
                store::Output::Failed(ticket) => Input::ProposalFailed { ticket },
                store::Output::Found(query, page) => Input::Found { query, page },
                store::Output::StoppedWriting => {
                    ctx.note(format_args!("the server cannot write to its disk any more"));
                    continue;
                }
                store::Output::Suffered(kind) => {
                    ctx.network.count(kind);
                    continue;
                }
            });
        }
    }
}

/// Whether this is an answer of the store.
fn is_completion(input: &Input<'_>) -> bool {
    matches!(input, Input::Committed { .. } | Input::ProposalFailed { .. } | Input::Found { .. })
}
