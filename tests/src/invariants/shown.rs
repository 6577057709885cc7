//! The client's end: what the server sent arrives whole and in order, and is shown once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use toom_core::client::event::{Event, PostKind};
use toom_core::client::io::{Input, Output};
use toom_core::id::{ConnectionId, MessageNumber, RequestId, RoomId};
use toom_core::name::UserName;
use toom_core::server::io::Output as ServerOutput;
use toom_core::time::Timestamp;
use toom_core::wire::message::{
    Event as Sent, PastMessage, Reply, ReplyBody, Request, RequestBody, RoomInfo, ServerMessage,
};

use super::conference::Part;
use super::model::Model;
use super::{Broken, Observation, ensure};

/// The stream.
pub const ARRIVES: &str =
    "messages: what a client hears is what the server sent it, in that order, and in the end all of it";
/// The person.
pub const SHOWN_ONCE: &str =
    "messages: a client shows each thing that others did once, in the order in which it hears of it";
/// The confirmation.
pub const CONFIRMED: &str =
    "messages: a person is told that a post was sent once, in the order of their posts, and only if it was";
/// What the server is told was shown.
pub const RECEIPT: &str = "messages: a client says that direct messages were shown only if they were";

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Shown {
    clients: BTreeMap<usize, Screen>,
    /// What was sent and not heard yet, to the connections of clients.
    under_way: BTreeMap<ConnectionId, VecDeque<Arc<ServerMessage>>>,
}

/// What one client has to show.
#[derive(Debug)]
struct Screen {
    connection: ConnectionId,
    /// To be shown before it hears the next thing.
    to_show: VecDeque<Event>,
    /// Rooms that its own requests led to.
    own_rooms: Vec<RoomInfo>,
    /// The newest direct message shown of each author.
    direct: BTreeMap<UserName, MessageNumber>,
    /// The newest message shown, confirmed or told of each conversation, over all connections.
    seen: BTreeMap<Option<RoomId>, MessageNumber>,
    /// The newest message shown of each conversation.
    shown: BTreeMap<Option<RoomId>, MessageNumber>,
    user: Option<UserName>,
    /// Whether it has closed its connection, so that late words mean nothing to it.
    deaf: bool,
    /// Its posts, with the confirmation that was heard and not shown yet.
    posts: BTreeMap<RequestId, (PostKind, Option<(MessageNumber, Timestamp)>)>,
    /// Invitations, each to a room: one that is asked again may be answered with the room as it is by then.
    invited: BTreeSet<RoomId>,
    logging_out: bool,
    over: bool,
}

impl Part for Shown {
    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ClientStarts { client, connection, .. } => {
                self.clients.insert(*client, Screen::new(*connection));
                self.under_way.insert(*connection, VecDeque::new());
                Ok(())
            }
            Observation::ClientConnects { client, connection } => {
                if let Some(screen) = self.clients.get_mut(client) {
                    self.under_way.remove(&screen.connection);
                    self.under_way.insert(*connection, VecDeque::new());
                    (screen.connection, screen.deaf) = (*connection, false);
                }
                Ok(())
            }
            Observation::ClientEnds(client) => {
                if let Some(screen) = self.clients.remove(client) {
                    self.under_way.remove(&screen.connection);
                }
                Ok(())
            }
            Observation::ServerSays(ServerOutput::Send { to, message }) => {
                let message = Arc::new(message.clone());
                // What is sent after the server closed a connection goes nowhere.
                for to in to.iter().filter(|to| model.connections.contains_key(to)) {
                    self.under_way.entry(*to).and_modify(|all| all.push_back(message.clone()));
                }
                Ok(())
            }
            Observation::ClientHears(client, input) => self.hears(*client, input),
            Observation::ClientSays(client, output) => match self.clients.get_mut(client) {
                Some(screen) => screen.says(*client, output),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn finish(&mut self, model: &Model) -> Result<(), Broken> {
        for (client, screen) in &mut self.clients {
            screen.end_turn(*client)?;
            let open = model.connections.contains_key(&screen.connection) && !screen.over;
            let unheard = self.under_way.get(&screen.connection).and_then(VecDeque::front).filter(|_| open);
            ensure(unheard.is_none(), ARRIVES, || format!("client {client} never hears {unheard:?}"))?;
        }
        Ok(())
    }
}

impl Shown {
    fn hears(&mut self, client: usize, input: &Input) -> Result<(), Broken> {
        let Some(screen) = self.clients.get_mut(&client) else { return Ok(()) };
        screen.end_turn(client)?;
        let Input::Message(message) = input else { return Ok(()) };
        let sent = self.under_way.get_mut(&screen.connection).and_then(VecDeque::pop_front);
        ensure(sent.as_deref() == Some(message), ARRIVES, || {
            format!("client {client} hears {message:?}, the next thing sent to it is {sent:?}")
        })?;
        if !screen.over && !screen.deaf {
            match message {
                ServerMessage::Event(event) => {
                    let shown = screen.shows(event);
                    screen.to_show.extend(shown);
                }
                ServerMessage::Reply(reply) => screen.replied(reply),
            }
        }
        Ok(())
    }
}

impl Screen {
    fn new(connection: ConnectionId) -> Screen {
        Screen {
            connection,
            to_show: VecDeque::new(),
            own_rooms: Vec::new(),
            direct: BTreeMap::new(),
            seen: BTreeMap::new(),
            shown: BTreeMap::new(),
            user: None,
            deaf: false,
            posts: BTreeMap::new(),
            invited: BTreeSet::new(),
            logging_out: false,
            over: false,
        }
    }

    /// All that it heard was shown, unless it was the end.
    fn end_turn(&mut self, client: usize) -> Result<(), Broken> {
        let left = core::mem::take(&mut self.to_show);
        // After the logout there are no receipts any more: a direct message comes again at the next login.
        let missed = left.iter().find(|it| !self.logging_out || !matches!(it, Event::DirectMessage { .. }));
        ensure(missed.is_none() || self.over, SHOWN_ONCE, || format!("client {client} does not show {missed:?}"))
    }

    /// What must be shown of an event.
    fn shows(&mut self, event: &Sent) -> Option<Event> {
        if let Some((place, number)) = place(event) {
            self.see(place, number);
        }
        Some(match event.clone() {
            Sent::Broadcast { number, at, from, text } => Event::Broadcast { number, at, from, text },
            Sent::RoomMessage { room, number, at, from, text } => Event::RoomMessage { room, number, at, from, text },
            Sent::DirectMessage { number, at, from, text } => {
                let again = self.direct.get(&from).is_some_and(|shown| *shown >= number);
                return (!again && !self.logging_out).then_some(Event::DirectMessage { number, at, from, text });
            }
            Sent::Joined { user } => Event::Joined { user },
            Sent::Left { user } => Event::Left { user },
            Sent::RoomCreated(room) => Event::RoomCreated(room),
            Sent::RoomChanged(room) => Event::RoomChanged(room),
            Sent::NewSince(news) => Event::NewSince(news),
            Sent::Granted { positions, .. } => {
                self.see(None, positions.broadcasts);
                positions.rooms.into_iter().for_each(|(room, number)| self.see(Some(room), number));
                return None;
            }
            Sent::Ping => return None,
            Sent::Offer { .. } | Sent::OfferAccepted { .. } | Sent::OfferEnded { .. } => return None,
        })
    }

    fn replied(&mut self, reply: &Reply) {
        match &reply.body {
            ReplyBody::Sent { number, at } => {
                self.posts.entry(reply.id).and_modify(|(_, sent)| *sent = Some((*number, *at)));
            }
            ReplyBody::RoomCreated(room) | ReplyBody::Invited(room) => self.own_rooms.push(room.clone()),
            ReplyBody::Rooms(rooms) => {
                self.own_rooms.extend(rooms.iter().filter(|it| self.invited.contains(&it.room)).cloned());
            }
            ReplyBody::Refused(_) => _ = self.posts.remove(&reply.id),
            ReplyBody::Welcome { user, .. } => self.user = Some(user.clone()),
            ReplyBody::Resumed { missed } => self.to_show.push_back(Event::Resumed { missed: *missed }),
            ReplyBody::Missed { messages, .. } => self.missed(messages),
            _ => {}
        }
    }

    /// Of what was missed, what is newer than all that was seen is shown, unless one said it oneself.
    fn missed(&mut self, messages: &[PastMessage]) {
        for message in messages {
            let PastMessage { room, number, at, from, text } = message.clone();
            let new = self.seen.get(&room).is_none_or(|seen| *seen < number);
            self.see(room, number);
            if new && self.user.as_ref() != Some(&from) {
                self.to_show.push_back(match room {
                    None => Event::Broadcast { number, at, from, text },
                    Some(room) => Event::RoomMessage { room, number, at, from, text },
                });
            }
        }
    }

    fn see(&mut self, place: Option<RoomId>, number: MessageNumber) {
        let seen = self.seen.entry(place).or_default();
        *seen = number.max(*seen);
    }

    fn says(&mut self, client: usize, output: &Output) -> Result<(), Broken> {
        match output {
            Output::Send(request) => self.sends(client, request),
            Output::Event(event) => self.show(client, event),
            Output::Disconnect => {
                self.deaf = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn sends(&mut self, client: usize, request: &Request) -> Result<(), Broken> {
        let kind = match &request.body {
            RequestBody::Logout => {
                self.logging_out = true;
                return Ok(());
            }
            RequestBody::DirectReceived { from, through } => {
                let shown = self.direct.get(from);
                return ensure(shown.is_some_and(|shown| through <= shown), RECEIPT, || {
                    format!("client {client} says that number {through} of {from} was shown; that was {shown:?}")
                });
            }
            RequestBody::Invite { room, .. } => {
                self.invited.insert(*room);
                return Ok(());
            }
            RequestBody::Broadcast { .. } => PostKind::Broadcast,
            RequestBody::RoomMessage { room, .. } => PostKind::Room(*room),
            RequestBody::DirectMessage { to, .. } => PostKind::Direct(to.clone()),
            _ => return Ok(()),
        };
        self.posts.insert(request.id, (kind, None));
        Ok(())
    }

    fn show(&mut self, client: usize, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Bye { .. } | Event::ConnectionLost { .. } => self.over = true,
            Event::Sent { kind, number, at } => {
                match kind {
                    PostKind::Broadcast => self.see(None, *number),
                    PostKind::Room(room) => self.see(Some(*room), *number),
                    PostKind::Direct(_) => {}
                }
                let next = self.posts.iter().find(|(_, (_, sent))| sent.is_some()).map(|(request, _)| *request);
                let next = next.and_then(|request| self.posts.remove(&request));
                let expected = Some((kind.clone(), Some((*number, *at))));
                return ensure(next == expected, CONFIRMED, || {
                    format!("client {client} is told {event:?}, the next one confirmed is {next:?}")
                });
            }
            Event::DirectMessage { number, from, .. } => {
                self.direct.insert(from.clone(), *number);
                return self.is_next(client, event);
            }
            Event::Broadcast { .. } | Event::RoomMessage { .. } => {
                self.is_news(client, event)?;
                return self.is_next(client, event);
            }
            Event::Joined { .. } | Event::Left { .. } | Event::Resumed { .. } | Event::NewSince(_) => {
                return self.is_next(client, event);
            }
            Event::RoomCreated(room) | Event::RoomChanged(room) => {
                if self.to_show.front() != Some(event)
                    && let Some(place) = self.own_rooms.iter().position(|own| own == room)
                {
                    self.own_rooms.remove(place);
                    return Ok(());
                }
                return self.is_next(client, event);
            }
            _ => {}
        }
        Ok(())
    }

    /// Each message comes once in a session, over all of its connections, and in order.
    fn is_news(&mut self, client: usize, event: &Event) -> Result<(), Broken> {
        let (place, number) = match event {
            Event::Broadcast { number, .. } => (None, *number),
            Event::RoomMessage { room, number, .. } => (Some(*room), *number),
            _ => return Ok(()),
        };
        let before = self.shown.insert(place, number);
        ensure(before.is_none_or(|before| before < number), SHOWN_ONCE, || {
            format!("client {client} shows {event:?} after number {before:?}")
        })
    }

    fn is_next(&mut self, client: usize, event: &Event) -> Result<(), Broken> {
        let next = self.to_show.pop_front();
        ensure(next.as_ref() == Some(event), SHOWN_ONCE, || {
            format!("client {client} shows {event:?}, to be shown is {next:?}")
        })
    }
}

fn place(event: &Sent) -> Option<(Option<RoomId>, MessageNumber)> {
    match event {
        Sent::Broadcast { number, .. } => Some((None, *number)),
        Sent::RoomMessage { room, number, .. } => Some((Some(*room), *number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
