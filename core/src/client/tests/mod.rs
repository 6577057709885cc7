//! The client against a scripted server.

mod ending;
mod messages;
mod random;
mod receiving;
mod sending;
mod turns;

use core::time::Duration;

use super::Client;
use super::agreement::{Party, Subject, agreement};
use super::command::Command;
use super::event::{Event, Transfer};
use super::io::{AcceptPolicy, Input, Output, Progress, Report};
use crate::id::{MessageNumber, OfferId, PeerIndex, RequestId, RoomId};
use crate::machine::Machine;
use crate::name::UserName;
use crate::secure::{Password, PeerAgreement, PeerSecret, PublicKey};
use crate::text::FileLabel;
use crate::time::{Instant, Timestamp};
use crate::wire::message::{
    self as wire, PeerEndpoint, Reply, ReplyBody, Request, RequestBody, RoomInfo, ServerMessage,
};

const AT: Timestamp = Timestamp::from_millis(1_654_063_500_000);

/// A client, its clock, and what it has said and nobody has looked at.
struct World {
    client: Client,
    now: Instant,
    events: Vec<Event>,
    requests: Vec<Request>,
    /// All else, in order.
    orders: Vec<Output>,
}

/// The key of this device, and of everyone else's.
fn device() -> PublicKey {
    PublicKey([1; 32])
}

fn other_device() -> PublicKey {
    PublicKey([2; 32])
}

/// What both ends know of film.mp4, offered as `offer` by `sender` to `receiver`; luke is the other end.
fn agreed(offer: u64, sender: &str, receiver: &str, shared: PeerSecret) -> PeerAgreement {
    let (sender, receiver) = (name(sender), name(receiver));
    let device_of = |name: &UserName| if name.as_str() == "luke" { other_device() } else { device() };
    let [sender, receiver] = [&sender, &receiver].map(|name| Party { name, device: device_of(name) });
    let label = &FileLabel::new("film.mp4");
    let subject = Subject { offer: OfferId(offer), sender, receiver, label, bytes: 1_000 };
    agreement(&subject, other_device(), shared)
}

fn server_key() -> PublicKey {
    PublicKey([6; 32])
}

fn connected() -> Input {
    Input::Connected { server_key: server_key() }
}

impl World {
    fn new(accept: AcceptPolicy) -> World {
        let client = Client::new(accept, 6000, device(), [7; 32]);
        World { client, now: Instant::ZERO, events: vec![], requests: vec![], orders: vec![] }
    }

    /// Connected and logged in as yoda.
    fn logged_in(accept: AcceptPolicy) -> World {
        let mut world = World::new(accept);
        world.input(connected());
        world.command(login());
        world.answer(ReplyBody::Welcome { user: name("yoda"), failed_logins: 0 });
        let welcome = Event::Welcome { user: name("yoda"), server_key: server_key(), udp_port: 6000, failed_logins: 0 };
        assert_eq!(world.events(), [welcome]);
        world
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.client.handle(self.now, input, &mut out);
        assert!(self.client.deadline().is_none_or(|deadline| deadline >= self.now));
        for output in out {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Send(request) => self.requests.push(request),
                order => self.orders.push(order),
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    fn reply(&mut self, id: RequestId, body: ReplyBody) {
        self.input(Input::Message(ServerMessage::Reply(Reply { id, body })));
    }

    /// Replies to the only request that nobody has looked at, and gives it.
    fn answer(&mut self, body: ReplyBody) -> RequestBody {
        let requests = self.requests();
        let [request] = &requests[..] else { panic!("not one request: {requests:?}") };
        self.reply(request.id, body);
        request.body.clone()
    }

    fn server(&mut self, event: wire::Event) {
        self.input(Input::Message(ServerMessage::Event(event)));
    }

    fn report(&mut self, offer: u64, progress: Progress) {
        self.input(Input::Report(Report { transfer: OfferId(offer), progress }));
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.input(Input::Woke);
    }

    fn events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    fn requests(&mut self) -> Vec<Request> {
        core::mem::take(&mut self.requests)
    }

    fn bodies(&mut self) -> Vec<RequestBody> {
        self.requests().into_iter().map(|request| request.body).collect()
    }

    fn orders(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.orders)
    }

    /// The transfer that the only event is about.
    fn transfer(&mut self) -> Transfer {
        match &self.events()[..] {
            [Event::Transfer(transfer)] => transfer.clone(),
            events => panic!("not one transfer: {events:?}"),
        }
    }
}

fn name(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

fn login() -> Command {
    Command::Login { name: "yoda".into(), password: Password("jedi".into()) }
}

fn broadcast(text: &str) -> Command {
    Command::Broadcast { text: text.into() }
}

fn sent(number: u64) -> ReplyBody {
    ReplyBody::Sent { number: MessageNumber(number), at: AT }
}

fn room(id: u32) -> RoomInfo {
    RoomInfo { room: RoomId(id), members: vec![name("luke"), name("yoda")] }
}

fn endpoint() -> PeerEndpoint {
    PeerEndpoint { index: PeerIndex(99), secret: PeerSecret([5; 32]) }
}

/// Luke offers a file of 1,000 bytes.
fn offer(id: u64) -> wire::Event {
    let (from, label, address) = (name("luke"), FileLabel::new("film.mp4"), ([192, 0, 2, 2], 7000).into());
    wire::Event::Offer {
        offer: OfferId(id),
        from,
        label,
        bytes: 1_000,
        address,
        endpoint: endpoint(),
        device: other_device(),
    }
}
