//! What the server says: a reply becomes the answer of its command, an event is shown.

use super::answers::Place;
use super::commands::fail;
use super::ending::{CatchingUp, DESERTED_PATIENCE};
use super::event::{Event, Failure, PostKind};
use super::find;
use super::history::Step;
use super::io::Output;
use super::offers::Arrived;
use super::requests::{Asked, Change, Wanted};
use super::session::Client;
use crate::id::MessageNumber;
use crate::name::UserName;
use crate::time::{Instant, Timestamp};
use crate::wire::message::{self as wire, Cursor, PastMessage, Refusal, Reply, ReplyBody, RequestBody, ServerMessage};

impl Client {
    /// Takes a message of the server. One that breaks the protocol ends the connection.
    pub(super) fn message(&mut self, now: Instant, message: ServerMessage, out: &mut Vec<Output>) {
        if !self.listens() {
            return;
        }
        self.heard(now);
        if let Some(ending) = &mut self.ending {
            ending.heard(now);
        }
        match message {
            ServerMessage::Reply(reply) => self.reply(now, reply, out),
            ServerMessage::Event(_) if self.user.is_none() => self.broken("an event before the login", out),
            ServerMessage::Event(event) => self.event(now, event, out),
        }
    }

    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Vec<Output>) {
        let Some(mut open) = self.requests.take(reply.id) else {
            return self.broken("a reply to nothing", out);
        };
        let wrong = match (open.asked, reply.body) {
            (Asked::Login, ReplyBody::Welcome { user, failed_logins }) => {
                self.logging_in = false;
                self.user = Some(user.clone());
                let udp_port = self.udp_port;
                let welcome = |server_key| Event::Welcome { user, server_key, udp_port, failed_logins };
                out.extend(self.server_key.map(welcome).map(Output::Event));
                None
            }
            (Asked::Login, ReplyBody::LoginFailed(refusal)) => {
                self.logging_in = false;
                show(Event::LoginFailed(refusal), out)
            }
            (Asked::Logout, ReplyBody::Bye) => {
                self.bye(out);
                None
            }
            (Asked::Change(place, change), body) if open.again && was_done(&change, &body) => {
                self.was_done(place, change, out);
                None
            }
            (Asked::Change(place, change), body) => match changed(&change, body) {
                Some(event) => {
                    self.note_position(&event);
                    self.answers.fill(place, event, out);
                    None
                }
                None => Some(Asked::Change(place, change)),
            },
            (asked @ (Asked::Resume | Asked::Missed), body) => self.resuming(now, asked, body, out),
            (Asked::ActiveUsers, ReplyBody::ActiveUsers(users)) => show(Event::ActiveUsers(users), out),
            (Asked::Rooms, ReplyBody::Rooms(rooms)) => show(Event::Rooms(rooms), out),
            (Asked::History(_), ReplyBody::History { messages, next }) => {
                self.page(messages, next, out);
                None
            }
            (Asked::History(_), ReplyBody::Refused(refusal)) => {
                self.history = None;
                show(Event::Error(refusal.into()), out)
            }
            (Asked::Latest(room), ReplyBody::History { messages, next }) => {
                show(Event::Latest { room, messages, more: next.is_some() }, out)
            }
            (Asked::Latest(_), ReplyBody::Refused(refusal)) => show(Event::Error(refusal.into()), out),
            (Asked::Find, ReplyBody::Found { messages, next }) => show(find::found(messages, next), out),
            (Asked::Find, ReplyBody::Refused(Refusal::BadText)) => show(Event::Error(Failure::NoWords), out),
            (Asked::Find, ReplyBody::Refused(refusal)) => show(Event::Error(refusal.into()), out),
            (Asked::Offer, ReplyBody::Offered { offer }) => {
                self.offered(offer, out);
                None
            }
            (Asked::Offer, ReplyBody::Refused(refusal)) => {
                self.offer_refused(refusal, out);
                None
            }
            (Asked::Devices(wanted), ReplyBody::Devices(devices)) => {
                self.devices_told(wanted, devices, out);
                None
            }
            (Asked::Devices(Wanted::Receiver { .. }), ReplyBody::Refused(refusal)) => {
                self.offering_failed(refusal.into(), out);
                None
            }
            (Asked::Devices(_), ReplyBody::Refused(refusal)) => show(Event::Error(refusal.into()), out),
            (Asked::ActiveUsers | Asked::Rooms, ReplyBody::Refused(refusal)) => show(Event::Error(refusal.into()), out),
            (Asked::Answer { offer, .. }, ReplyBody::Refused(_)) => {
                self.answer_came_too_late(offer, out);
                None
            }
            (Asked::Answer { .. }, ReplyBody::Done) => None,
            (Asked::CatchUp, ReplyBody::Done | ReplyBody::Refused(_)) => {
                self.catching_up = CatchingUp::Done;
                None
            }
            (Asked::Withdraw { offer, .. }, ReplyBody::Done | ReplyBody::Refused(_)) => {
                self.withdrawn(offer, out);
                None
            }
            (Asked::Receipt { from, through }, ReplyBody::Done | ReplyBody::Refused(_)) => {
                self.receipts.answered(&from, through);
                self.confirm(&from);
                None
            }
            (Asked::Ping, ReplyBody::Done | ReplyBody::Refused(_)) => None,
            (asked, _) => Some(asked),
        };
        if let Some(asked) = wrong {
            // Its command is still to be answered.
            open.asked = asked;
            self.requests.put_back(reply.id, open);
            self.broken("a reply of the wrong kind", out);
        }
    }

    fn event(&mut self, now: Instant, event: wire::Event, out: &mut Vec<Output>) {
        let event = match event {
            wire::Event::Broadcast { number, at, from, text } => Event::Broadcast { number, at, from, text },
            wire::Event::RoomMessage { room, number, at, from, text } => {
                Event::RoomMessage { room, number, at, from, text }
            }
            wire::Event::DirectMessage { number, at, from, text } => {
                return self.direct_message(number, at, from, text, out);
            }
            wire::Event::Granted { secret, positions } => return self.granted(now, secret, positions),
            wire::Event::NewSince(news) => Event::NewSince(news),
            // The server wants to know whether this client is still there.
            wire::Event::Ping => return self.requests.ping(out),
            wire::Event::Joined { user } => Event::Joined { user },
            wire::Event::Left { user } => {
                self.transfers.desert(&user, now + DESERTED_PATIENCE);
                Event::Left { user }
            }
            wire::Event::RoomCreated(room) => Event::RoomCreated(room),
            wire::Event::RoomChanged(room) => Event::RoomChanged(room),
            wire::Event::Offer { offer, from, device, keys, address, index, sealed } => {
                let arrived = Arrived { offer, from, device, keys, address, index, sealed };
                return self.offer_arrived(arrived, out);
            }
            wire::Event::OfferAccepted { offer, address, index, device } => {
                return self.offer_accepted(offer, (address, index, device), out);
            }
            wire::Event::OfferEnded { offer, reason } => return self.offer_ended(offer, reason, out),
        };
        self.note_position(&event);
        out.push(Output::Event(event));
    }

    /// Remembers up to where this client has seen a conversation.
    fn note_position(&mut self, event: &Event) {
        match event {
            Event::Broadcast { number, .. } | Event::Sent { kind: PostKind::Broadcast, number, .. } => {
                self.positions.see(None, *number);
            }
            Event::RoomMessage { room, number, .. } | Event::Sent { kind: PostKind::Room(room), number, .. } => {
                self.positions.see(Some(*room), *number);
            }
            Event::RoomCreated(info) => self.positions.enter(info.room),
            Event::LeftRoom { room } => self.positions.leave(*room),
            _ => {}
        }
    }

    /// What was asked again had been carried out the first time.
    fn was_done(&mut self, place: Place, change: Change, out: &mut Vec<Output>) {
        match change {
            Change::Leave(room) => {
                let event = Event::LeftRoom { room };
                self.note_position(&event);
                self.answers.fill(place, event, out);
            }
            // The answer is the room as it is now.
            Change::Invite(room) => {
                self.requests.ask(RequestBody::Rooms, Asked::Change(place, Change::Invited(room)), out);
            }
            _ => {}
        }
    }

    fn direct_message(
        &mut self,
        number: MessageNumber,
        at: Timestamp,
        from: UserName,
        text: String,
        out: &mut Vec<Output>,
    ) {
        // After the logout there is no receipt any more: it comes again at the next login.
        if !self.is_saying_bye() && self.receipts.arrived(&from, number, at) {
            out.push(Output::Event(Event::DirectMessage { number, at, from: from.clone(), text }));
            self.confirm(&from);
        }
    }

    /// Tells the server what was shown of this person's messages, unless it is being told already.
    fn confirm(&mut self, from: &UserName) {
        if let Some(through) = self.receipts.due(from) {
            self.tell(from, through);
        }
    }

    /// Tells the server everything that was shown, without waiting for the receipts under way.
    pub(super) fn confirm_all(&mut self) {
        for (from, through) in self.receipts.untold() {
            self.tell(&from, through);
        }
    }

    fn tell(&mut self, from: &UserName, through: MessageNumber) {
        let body = RequestBody::DirectReceived { from: from.clone(), through };
        if self.requests.ask_own(body, Asked::Receipt { from: from.clone(), through }) {
            self.receipts.told(from, through);
        }
    }

    fn page(&mut self, messages: Vec<PastMessage>, next: Option<Cursor>, out: &mut Vec<Output>) {
        let Some(gathering) = &mut self.history else { return };
        match gathering.page(messages, next) {
            Step::Ask(body) => return self.requests.ask(body, Asked::History(gathering.kind()), out),
            Step::Show(event) => out.push(Output::Event(event)),
            Step::TooMuch(words) => fail(Failure::LimitReached(words), out),
            Step::Circle => {
                fail(Failure::ConnectionLost, out);
                self.broken("a history without an end", out);
            }
        }
        self.history = None;
    }

    /// The server broke the protocol: the connection cannot go on.
    pub(super) fn broken(&mut self, what: &str, out: &mut Vec<Output>) {
        self.lost(format!("the server broke the protocol: {what}"), out);
        out.push(Output::Disconnect);
    }
}

/// The answer to a change; `None` if the server's reply is none.
fn changed(change: &Change, body: ReplyBody) -> Option<Event> {
    Some(match (change, body) {
        (_, ReplyBody::Refused(refusal)) => Event::Error(refusal.into()),
        (Change::Post(kind), ReplyBody::Sent { number, at }) => Event::Sent { kind: kind.clone(), number, at },
        (Change::BuildRoom, ReplyBody::RoomCreated(room)) => Event::RoomCreated(room),
        (Change::BuildRoom, ReplyBody::RoomExists(room)) => Event::RoomExists(room),
        (Change::Invite(_), ReplyBody::Invited(room)) => Event::RoomChanged(room),
        (Change::Invited(room), ReplyBody::Rooms(rooms)) => {
            let found = rooms.into_iter().find(|it| it.room == *room);
            found.map_or(Event::Error(Failure::NotAMember), Event::RoomChanged)
        }
        (Change::Leave(left), ReplyBody::Left { room }) if *left == room => Event::LeftRoom { room },
        _ => return None,
    })
}

/// Whether a refusal of a change that was asked again says that it was carried out the first time.
fn was_done(change: &Change, body: &ReplyBody) -> bool {
    matches!(
        (change, body),
        (Change::Leave(_), ReplyBody::Refused(Refusal::NotAMember))
            | (Change::Invite(_), ReplyBody::Refused(Refusal::AlreadyAMember))
    )
}

fn show(event: Event, out: &mut Vec<Output>) -> Option<Asked> {
    out.push(Output::Event(event));
    None
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::NoSuchUser(users) => Failure::NoSuchUser(users),
            Refusal::UserOffline(users) => Failure::UserOffline(users),
            Refusal::NoSuchRoom => Failure::NoSuchRoom,
            Refusal::NotAMember => Failure::NotAMember,
            Refusal::NobodyElse => Failure::NobodyElse,
            Refusal::AlreadyAMember => Failure::AlreadyAMember,
            Refusal::Oneself => Failure::Oneself,
            Refusal::NoSuchOffer => Failure::NoSuchOffer,
            Refusal::BadText => Failure::BadText,
            Refusal::LimitReached(limit) => Failure::LimitReached(limit),
            Refusal::StorageFailed => Failure::StorageFailed,
            Refusal::RateLimited { retry_after_ms } => Failure::RateLimited { retry_after_ms },
            Refusal::OutOfOrder => Failure::NotLoggedIn,
            Refusal::DeviceChanged => Failure::DeviceChanged,
            Refusal::SearchNotReady => Failure::SearchNotReady,
        }
    }
}
