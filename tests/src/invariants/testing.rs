//! A stage for the tests of checkers: the real server, whose outputs can be tampered with before they are said.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use toom_core::client::command::Command;
use toom_core::client::event::Event as Shown;
use toom_core::client::io::{Input as ClientInput, Output as ClientOutput};
use toom_core::id::{ConnectionId, RequestId};
use toom_core::machine::Machine;
use toom_core::name::UserName;
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::fact::Fact;
use toom_core::server::io::{Input, Output};
use toom_core::server::{PostRates, Server, Settings};
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::message::{Event, Request, RequestBody, ServerMessage};

use super::conference::Conference;
use super::{Observation, Watch};
use crate::sim::store::Durable;

type Tamper = Box<dyn FnMut(&mut Vec<Output>)>;

/// The real server, watched.
pub(super) struct Stage {
    server: Server,
    watch: Watch,
    durable: Durable,
    inbox: VecDeque<Input<'static>>,
    tamper: Tamper,
    connections: u64,
    requests: u64,
    wall: Timestamp,
    sent: BTreeMap<ConnectionId, VecDeque<ServerMessage>>,
}

const SETTINGS: Settings = Settings {
    attempts: 3,
    block: core::time::Duration::from_secs(10),
    post_rates: PostRates { posts: 0, bytes: 0 },
    grace: core::time::Duration::ZERO,
};

impl Stage {
    /// A server with these accounts.
    pub(super) fn new(accounts: &[&str]) -> Stage {
        let mut durable = Durable::default();
        for account in accounts {
            durable.append(None, added(account));
        }
        let mut stage = Stage {
            server: server(),
            watch: Watch::new(vec![Box::new(Conference::default())]),
            durable,
            inbox: VecDeque::new(),
            tamper: Box::new(|_| ()),
            connections: 0,
            requests: 0,
            wall: Timestamp::from_millis(1_000_000),
            sent: BTreeMap::new(),
        };
        stage.restart();
        stage
    }

    /// From now on what the server says is changed before it is said.
    pub(super) fn tamper(&mut self, tamper: impl FnMut(&mut Vec<Output>) + 'static) {
        self.tamper = Box::new(tamper);
    }

    /// From now on the events that the server says are changed, with those who are told them.
    pub(super) fn tamper_events(&mut self, mut change: impl FnMut(&mut Vec<ConnectionId>, &mut Event) + 'static) {
        self.tamper(move |out| {
            for output in out {
                if let Output::Send { to, message: ServerMessage::Event(event) } = output {
                    change(to, event);
                }
            }
        });
    }

    /// From now on the replies that the server says are changed.
    pub(super) fn tamper_replies(
        &mut self,
        mut change: impl FnMut(&mut toom_core::wire::message::ReplyBody) + 'static,
    ) {
        self.tamper(move |out| {
            for output in out {
                if let Output::Send { message: ServerMessage::Reply(reply), .. } = output {
                    change(&mut reply.body);
                }
            }
        });
    }

    /// The server's process ends, and starts again.
    pub(super) fn restart(&mut self) {
        let log = self.durable.replay();
        self.watch.observe(Instant::ZERO, self.wall, &Observation::ServerEnds(&self.server));
        self.server = server();
        self.tell(&Observation::ServerStarts { settings: SETTINGS, log: &log });
        for committed in &log {
            self.hear(Input::Recovered { committed, wall: self.wall });
        }
    }

    pub(super) fn connect(&mut self) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
        self.hear(Input::Accepted { connection, address });
        let device = toom_core::secure::PublicKey([connection.0 as u8; 32]);
        self.hear(Input::Connected { connection, address, device });
        connection
    }

    pub(super) fn disconnect(&mut self, connection: ConnectionId) {
        self.hear(Input::Disconnected { connection, wall: self.wall });
    }

    pub(super) fn log_in(&mut self, connection: ConnectionId, name: &str) {
        self.ask(connection, RequestBody::Login { name: name.into(), password: Password("x".into()), udp_port: 7 });
    }

    /// Everyone connects and logs in.
    pub(super) fn all<const N: usize>(&mut self, names: [&str; N]) -> [ConnectionId; N] {
        names.map(|name| {
            let connection = self.connect();
            self.log_in(connection, name);
            connection
        })
    }

    pub(super) fn ask(&mut self, connection: ConnectionId, body: RequestBody) {
        self.requests += 1;
        let request = Request { id: RequestId(self.requests), body };
        self.hear(Input::Request { connection, request, wall: self.wall });
    }

    pub(super) fn broadcast(&mut self, connection: ConnectionId, text: &str) {
        self.ask(connection, RequestBody::Broadcast { text: text.into() });
    }

    /// Another process appends a fact.
    pub(super) fn append(&mut self, fact: Fact) {
        let committed = self.durable.append(None, fact);
        self.tell(&Observation::Durable(&committed));
        self.hear(Input::Committed { committed, wall: self.wall });
    }

    pub(super) fn tell(&mut self, what: &Observation<'_>) {
        self.watch.observe(Instant::ZERO, self.wall, what);
    }

    /// A client that is about to use the next connection.
    pub(super) fn client(&mut self, client: usize) -> ConnectionId {
        let connection = ConnectionId(self.connections + 1);
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
        self.tell(&Observation::ClientStarts { client, address, connection });
        connection
    }

    /// What a connection was sent since this was asked last.
    pub(super) fn sent(&mut self, connection: ConnectionId) -> VecDeque<ServerMessage> {
        self.sent.remove(&connection).unwrap_or_default()
    }

    pub(super) fn client_hears(&mut self, client: usize, message: ServerMessage) {
        self.tell(&Observation::ClientHears(client, &ClientInput::Message(message)));
    }

    pub(super) fn client_is_asked(&mut self, client: usize, command: Command) {
        self.tell(&Observation::ClientHears(client, &ClientInput::Command(command)));
    }

    pub(super) fn client_sends(&mut self, client: usize, id: u64, body: RequestBody) {
        self.tell(&Observation::ClientSays(client, &ClientOutput::Send(Request { id: RequestId(id), body })));
    }

    pub(super) fn client_shows(&mut self, client: usize, event: Shown) {
        self.tell(&Observation::ClientSays(client, &ClientOutput::Event(event)));
    }

    /// The run is over; the invariant that was broken.
    pub(super) fn finish(&mut self) -> Option<&'static str> {
        self.watch.finish(Instant::ZERO, self.wall);
        self.broken()
    }

    /// The invariant that was broken, once the server hears the next thing.
    pub(super) fn broken(&mut self) -> Option<&'static str> {
        self.hear(Input::Woke { wall: self.wall });
        self.watch.broken().map(|broken| broken.invariant)
    }

    fn hear(&mut self, input: Input<'_>) {
        self.hear_one(input);
        while let Some(input) = self.inbox.pop_front() {
            self.hear_one(input);
        }
    }

    fn hear_one(&mut self, input: Input<'_>) {
        self.watch.observe(Instant::ZERO, self.wall, &Observation::ServerHears(&input));
        let mut out = Vec::new();
        self.server.handle(Instant::ZERO, input, &mut out);
        (self.tamper)(&mut out);
        for output in out {
            self.tell(&Observation::ServerSays(&output));
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        let wall = self.wall;
        match output {
            Output::Send { to, message } => {
                for to in to {
                    self.sent.entry(to).or_default().push_back(message.clone());
                }
            }
            Output::CheckPassword { check, .. } => {
                self.inbox.push_back(Input::PasswordChecked { check, matches: true, wall });
            }
            Output::Propose { ticket, fact } => {
                let committed = self.durable.append(Some(ticket), fact);
                self.tell(&Observation::Durable(&committed));
                self.inbox.push_back(Input::Committed { committed, wall });
            }
            Output::Query { query, what } => {
                self.inbox.push_back(Input::Found { query, page: Some(self.durable.answer(&what)) });
            }
            Output::Record(message) => self.durable.record(&message),
            Output::Close { connection, .. } => self.inbox.push_back(Input::Disconnected { connection, wall }),
            Output::Activity(_) => {}
        }
    }
}

pub(super) fn name(text: &str) -> UserName {
    UserName::new(text).expect("a name")
}

pub(super) fn added(account: &str) -> Fact {
    Fact::AccountAdded {
        name: name(account),
        hash: PasswordHash::new(&Password("x".into()), [0; 16], HashCost::Trivial),
    }
}

fn server() -> Server {
    let decoy = PasswordHash::new(&Password("decoy".into()), [1; 16], HashCost::Trivial);
    Server::new(SETTINGS, decoy, [0; 32])
}
