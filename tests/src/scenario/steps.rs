//! The steps of which scenarios are made.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, PostKind};
use toom_core::client::io::AcceptPolicy;
use toom_core::id::{MessageNumber, RequestId, RoomId};
use toom_core::name::UserName;
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::PostRates;
use toom_core::time::Timestamp;
use toom_core::wire::codec::{LENGTH_BYTES, decode, decode_length, encode};
use toom_core::wire::message::{LoginRefusal, ReplyBody, Request, RequestBody, RoomInfo, ServerMessage};

use super::world::{ClientId, RawId, Setup, World};

/// How often [`until`](World) looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How often it does so before it gives up: 30 s.
const LOOKS: u32 = 3_000;

/// Accounts with these names; the password of each is [`password_of`] it.
pub fn accounts(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), password_of(name))).collect()
}

/// The password that a name has.
pub fn password_of(name: &str) -> String {
    format!("{name}'s password")
}

/// Starts a server with accounts of these names and three attempts.
pub fn start(world: &mut dyn World, names: &[&str]) {
    world.start_server(&setup(world, names));
}

/// The same; sessions outlive their connections for so long, and clients come back by themselves.
pub fn start_resumable(world: &mut dyn World, names: &[&str], grace: Duration) {
    let setup = Setup { grace, reconnect: true, ..setup(world, names) };
    world.start_server(&setup);
}

/// A server with accounts of these names and three attempts, whose sessions end with their connections.
fn setup(world: &dyn World, names: &[&str]) -> Setup {
    let (block, post_rates, grace) = (world.block(), PostRates::default(), Duration::ZERO);
    Setup { accounts: accounts(names), attempts: 3, block, post_rates, grace, reconnect: false }
}

/// A new client, logged in with the right password, that waits for its person's answer to every offer.
pub fn log_in(world: &mut dyn World, name: &str) -> ClientId {
    log_in_with(world, name, AcceptPolicy::Ask)
}

/// A new client, logged in with the right password.
pub fn log_in_with(world: &mut dyn World, name: &str, accept: AcceptPolicy) -> ClientId {
    let client = world.connect(accept);
    match world.try_login(client, name, &password_of(name)) {
        Ok(_) => client,
        Err(refusal) => panic!("{name} could not log in: {refusal:?}"),
    }
}

/// A name.
pub fn user(name: &str) -> UserName {
    UserName::new(name).expect("a valid name")
}

/// Names, in their order.
pub fn users(names: &[&str]) -> Vec<UserName> {
    let mut names: Vec<UserName> = names.iter().map(|name| user(name)).collect();
    names.sort();
    names
}

/// A request without a client: its bytes.
pub fn request(id: u64, body: RequestBody) -> Vec<u8> {
    encode(&Request { id: RequestId(id), body }).to_vec()
}

/// The hash of a password, as cheap as there is.
pub fn hash_of(password: &str) -> PasswordHash {
    PasswordHash::new(&Password(password.into()), [7; 16], HashCost::Trivial)
}

/// The request to log in.
pub fn login_request(id: u64, name: &str, password: &str) -> Vec<u8> {
    request(id, RequestBody::Login { name: name.into(), password: Password(password.into()), udp_port: 9 })
}

impl dyn World + '_ {
    /// Waits for the first untaken event that `matches`, and takes it. `what` says what was hoped for.
    pub fn wait(&mut self, client: ClientId, what: &str, mut matches: impl FnMut(&Event) -> bool) -> Event {
        let mut seen = 0;
        loop {
            let untaken = self.untaken(client);
            if let Some(place) = untaken.iter().skip(seen).position(&mut matches) {
                return untaken.remove(seen + place).expect("a place within the queue");
            }
            seen = untaken.len();
            if !self.fetch(client) {
                let untaken: String = self.untaken(client).iter().map(|event| format!("  {event:?}\n")).collect();
                panic!("client {} waited in vain for {what}; untaken:\n{untaken}{}", client.0, self.report());
            }
        }
    }

    /// Waits for the next event for which `pick` gives something, takes it, and gives that.
    pub fn pick<T>(&mut self, client: ClientId, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        let event = self.wait(client, what, |event| pick(event).is_some());
        pick(&event).expect("it was picked a moment ago")
    }

    /// Nothing untaken matches. To be said only after an event that comes after all that could.
    pub fn absent(&mut self, client: ClientId, what: &str, matches: impl Fn(&Event) -> bool) {
        if let Some(event) = self.untaken(client).iter().find(|event| matches(event)) {
            let event = format!("{event:?}");
            panic!("client {} was told {what}: {event}\n{}", client.0, self.report());
        }
    }

    /// Waits until `condition` holds. For what no event tells.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&mut dyn World) -> bool) {
        for _ in 0..LOOKS {
            if condition(self) {
                return;
            }
            self.pause(LOOK_AGAIN);
        }
        panic!("waited in vain until {what}\n{}", self.report());
    }

    /// Gives a command that must fail, and tells how.
    pub fn fails(&mut self, client: ClientId, command: Command) -> Failure {
        self.command(client, command);
        self.pick(client, "an error", |event| match event {
            Event::Error(failure) => Some(failure.clone()),
            _ => None,
        })
    }

    /// Tries to log in; the UDP port that the client has.
    pub fn try_login(&mut self, client: ClientId, name: &str, password: &str) -> Result<u16, LoginRefusal> {
        self.command(client, Command::Login { name: name.into(), password: Password(password.into()) });
        self.pick(client, "the answer to the login", |event| match event {
            Event::Welcome { user, udp_port, .. } if user.as_str() == name => Some(Ok(*udp_port)),
            Event::LoginFailed(refusal) => Some(Err(*refusal)),
            _ => None,
        })
    }

    /// Tries to log in from a new client, which is gone afterwards if it failed.
    pub fn try_login_anew(&mut self, name: &str, password: &str) -> Result<ClientId, LoginRefusal> {
        let client = self.connect(AcceptPolicy::Ask);
        match self.try_login(client, name, password) {
            Ok(_) => Ok(client),
            Err(refusal) => {
                self.kill(client);
                Err(refusal)
            }
        }
    }

    /// Logs out.
    pub fn log_out(&mut self, client: ClientId) {
        self.command(client, Command::Logout);
        self.wait(client, "goodbye", |event| matches!(event, Event::Bye { .. }));
    }

    /// Waits for the confirmation of one's own post.
    pub fn sent(&mut self, client: ClientId) -> (PostKind, MessageNumber, Timestamp) {
        self.pick(client, "the confirmation of a post", |event| match event {
            Event::Sent { kind, number, at } => Some((kind.clone(), *number, *at)),
            _ => None,
        })
    }

    /// Broadcasts, and waits for the confirmation.
    pub fn broadcast(&mut self, client: ClientId, text: &str) -> (MessageNumber, Timestamp) {
        self.command(client, Command::Broadcast { text: text.into() });
        let (kind, number, at) = self.sent(client);
        assert_eq!(kind, PostKind::Broadcast);
        (number, at)
    }

    /// Writes in a room, and waits for the confirmation.
    pub fn say(&mut self, client: ClientId, room: RoomId, text: &str) -> (MessageNumber, Timestamp) {
        self.command(client, Command::RoomMessage { room, text: text.into() });
        let (kind, number, at) = self.sent(client);
        assert_eq!(kind, PostKind::Room(room));
        (number, at)
    }

    /// Waits for a broadcast of this text.
    pub fn hears(&mut self, client: ClientId, text: &str) -> (MessageNumber, Timestamp, UserName) {
        self.pick(client, text, |event| match event {
            Event::Broadcast { number, at, from, text: heard } if heard == text => Some((*number, *at, from.clone())),
            _ => None,
        })
    }

    /// Builds a room of oneself and these others, each named once; it must not exist yet.
    pub fn build_room(&mut self, client: ClientId, others: &[&str]) -> RoomInfo {
        self.command(client, build_room(others));
        // One may have been put in other rooms, which is told by the same event.
        let is_it = |room: &RoomInfo| {
            room.members.len() == others.len() + 1 && users(others).iter().all(|other| room.members.contains(other))
        };
        self.pick(client, "the new room", |event| match event {
            Event::RoomCreated(room) if is_it(room) => Some(room.clone()),
            _ => None,
        })
    }

    /// Greets the server without a client, sends requests, and waits for so many replies.
    pub fn ask_raw(&mut self, raw: RawId, requests: &[u8], replies: usize) -> Vec<ReplyBody> {
        self.greet_raw(raw);
        self.ask_more_raw(raw, requests, replies)
    }

    /// The same on a connection that has greeted.
    pub fn ask_more_raw(&mut self, raw: RawId, requests: &[u8], replies: usize) -> Vec<ReplyBody> {
        let found = self.replies_raw(raw, requests, replies);
        assert_eq!(found.len(), replies, "the server closed a connection that waited for its reply\n{}", self.report());
        found
    }

    /// Sends requests and waits for so many replies, or for the server to close the connection.
    pub fn replies_raw(&mut self, raw: RawId, requests: &[u8], replies: usize) -> Vec<ReplyBody> {
        self.write_raw(raw, requests);
        let mut found = Vec::new();
        while found.len() < replies {
            match self.reply_raw(raw) {
                Some(reply) => found.push(reply),
                None => break,
            }
        }
        found
    }

    /// The next reply, events left aside; `None` if the server closes the connection.
    fn reply_raw(&mut self, raw: RawId) -> Option<ReplyBody> {
        loop {
            match self.message_raw(raw)? {
                ServerMessage::Reply(reply) => return Some(reply.body),
                ServerMessage::Event(_) => {}
            }
        }
    }

    /// The next message of the server. The bytes are taken one message at a time, so that nothing is lost.
    pub fn message_raw(&mut self, raw: RawId) -> Option<ServerMessage> {
        loop {
            let received = self.received_raw(raw);
            if let Some((length, rest)) = received.split_first_chunk::<LENGTH_BYTES>() {
                let length = decode_length(*length).expect("a length of the server");
                if let Some(body) = rest.get(..length) {
                    let message = decode(body).expect("a message of the server");
                    received.drain(..LENGTH_BYTES + length);
                    return Some(message);
                }
            }
            if !self.fetch_raw(raw) {
                return None;
            }
        }
    }

    /// Waits until the server closes a connection without a client.
    pub fn closed_raw(&mut self, raw: RawId) {
        while self.fetch_raw(raw) {}
    }
}

/// `SRB`.
pub fn build_room(others: &[&str]) -> Command {
    Command::BuildRoom { users: others.iter().map(|name| (*name).to_owned()).collect() }
}
