//! The client against a scripted server.

mod ending;
mod folders;
mod messages;
mod random;
mod receiving;
mod reconnecting;
mod sending;
mod turns;
mod usage;
mod verify;

use core::time::Duration;

use super::Client;
use super::agreement::{Party, Subject, agreement};
use super::command::Command;
use super::event::{Event, Transfer};
use super::io::{AcceptPolicy, Input, Output, Progress, Report};
use super::people::Person;
use crate::id::{MessageNumber, OfferId, PeerIndex, RequestId, RoomId};
use crate::machine::Machine;
use crate::name::UserName;
use crate::secure::{
    OfferContents, OfferParties, Password, PeerAgreement, PeerSecret, PublicKey, ResumeSecret, SealedOffer, SecretKey,
    open_offer, seal_offer,
};
use crate::text::FileLabel;
use crate::time::{Instant, Timestamp};
use crate::wire::message::{self as wire, Devices, Reply, ReplyBody, Request, RequestBody, RoomInfo, ServerMessage};

const AT: Timestamp = Timestamp::from_millis(1_654_063_500_000);

/// A client, its clock, and what it has said and nobody has looked at.
struct World {
    client: Client,
    now: Instant,
    events: Vec<Event>,
    requests: Vec<Request>,
    /// Of people, in order.
    remembered: Vec<Person>,
    /// All else, in order.
    orders: Vec<Output>,
}

/// The key of this device, and of luke's.
fn secret() -> SecretKey {
    SecretKey::new([1; 32])
}

fn other_secret() -> SecretKey {
    SecretKey::new([2; 32])
}

fn device() -> PublicKey {
    secret().public()
}

fn other_device() -> PublicKey {
    other_secret().public()
}

/// The only devices that there are, of one who is active there.
fn devices(user: &str, key: PublicKey) -> ReplyBody {
    ReplyBody::Devices(Devices { user: name(user), keys: vec![key], active: Some(key) })
}

fn asks_devices(user: &str, offering: bool) -> RequestBody {
    RequestBody::Devices { user: user.into(), offering }
}

fn film(secret: PeerSecret) -> OfferContents {
    OfferContents { label: FileLabel::new("film.mp4"), bytes: Some(1_000), secret, listing: None }
}

/// Film.mp4, as the device with this key seals it for yoda in luke's name.
fn sealed_by(by: &SecretKey) -> SealedOffer {
    let parties = OfferParties { sender: &name("luke"), receiver: &name("yoda") };
    seal_offer(parties, by, &device(), &film(PeerSecret([5; 32])), [8; 32]).unwrap()
}

/// What luke finds in an offer of yoda's.
fn opened_by_luke(sealed: &SealedOffer) -> OfferContents {
    let parties = OfferParties { sender: &name("yoda"), receiver: &name("luke") };
    open_offer(parties, &other_secret(), &device(), sealed).expect("it is sealed for luke")
}

/// What both ends know of film.mp4, offered as `offer` by `sender` to `receiver`; luke is the other end.
fn agreed(offer: u64, sender: &str, receiver: &str, shared: PeerSecret, sealed: &SealedOffer) -> PeerAgreement {
    let (sender, receiver) = (name(sender), name(receiver));
    let device_of = |name: &UserName| if name.as_str() == "luke" { other_device() } else { device() };
    let [sender, receiver] = [&sender, &receiver].map(|name| Party { name, device: device_of(name) });
    let label = &FileLabel::new("film.mp4");
    let subject =
        Subject { offer: OfferId(offer), sender, receiver, label, bytes: Some(1_000), sealed: &sealed.hash() };
    agreement(&subject, other_device(), shared)
}

fn server_key() -> PublicKey {
    PublicKey([6; 32])
}

fn connected() -> Input {
    Input::Connected { server_key: server_key(), people: vec![] }
}

impl World {
    fn new(accept: AcceptPolicy) -> World {
        let client = Client::new(accept, 6000, secret(), [7; 32], true);
        World { client, now: Instant::ZERO, events: vec![], requests: vec![], remembered: vec![], orders: vec![] }
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
                Output::Remember(person) => self.remembered.push(person),
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

/// Luke offers a file of 1,000 bytes.
fn offer(id: u64) -> wire::Event {
    offer_by(id, &other_secret())
}

/// Luke, on the device with this key.
fn offer_by(id: u64, by: &SecretKey) -> wire::Event {
    let (from, device, address) = (name("luke"), by.public(), ([192, 0, 2, 2], 7000).into());
    let (index, sealed) = (PeerIndex(99), sealed_by(by));
    wire::Event::Offer { offer: OfferId(id), from, device, keys: vec![device], address, index, sealed }
}
