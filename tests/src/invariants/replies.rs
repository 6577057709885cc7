//! Requests and their replies.

use toom_core::id::ConnectionId;
use toom_core::server::fact::PostId;
use toom_core::server::io::{CloseReason, Input, Output};
use toom_core::wire::message::{Refusal, Reply, ReplyBody, RequestBody};

use super::conference::{Part, reply};
use super::model::{Asked, Model, Outcome};
use super::spelling::spelled;
use super::{Broken, Observation, ensure, rooms};

/// Every request gets its reply, and nothing else is one.
pub const ONE_REPLY: &str =
    "messages: every request gets exactly one reply, on its connection, unless the connection or the server ends";
/// What is confirmed is in the log.
pub const ACKNOWLEDGED: &str = "messages: acknowledged means durable, with the number and time that the log gives";
/// The disk fails.
pub const STORAGE: &str = "messages: what could not be written is refused, and nothing else is refused for that";

/// What must be replied to the fact at hand.
#[derive(Debug, Default)]
pub(super) struct Replies {
    expected: Option<(Asked, Answer)>,
}

/// A reply that must come.
#[derive(Debug)]
enum Answer {
    /// This one.
    Just(ReplyBody),
    /// A refusal.
    Refused,
}

impl Part for Replies {
    fn end_turn(&mut self, model: &Model) -> Result<(), Broken> {
        let missing = self.expected.take().filter(|(asked, _)| model.connections.contains_key(&asked.connection));
        ensure(missing.is_none(), ONE_REPLY, || format!("it was not said: {missing:?}"))
    }

    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerEnds(_) => self.expected = None,
            Observation::ServerHears(Input::Committed { .. }) => {
                let applied = model.turn.applied.as_ref();
                self.expected = applied.and_then(|it| Some((it.asked.clone()?, answer(&it.outcome))));
            }
            Observation::ServerHears(Input::ProposalFailed { .. }) => {
                let failed = |asked| (asked, Answer::Just(ReplyBody::Refused(Refusal::StorageFailed)));
                self.expected = model.turn.failed.clone().map(failed);
            }
            Observation::ServerSays(Output::Close { connection, reason: CloseReason::LoggedOut }) => {
                let bye = matches!(model.turn.answered.as_ref().map(|it| &it.body), Some(RequestBody::Logout));
                ensure(bye, ONE_REPLY, || format!("connection {connection} is closed without a goodbye"))?;
            }
            _ => {}
        }
        let Some((to, reply)) = reply(what) else { return Ok(()) };
        let request = model.turn.answered.as_ref();
        let ([connection], Some(request)) = (to, request) else {
            return ensure(false, ONE_REPLY, || format!("{reply:?} answers nothing that {to:?} asked"));
        };
        ensure(fits(&request.body, &reply.body), ONE_REPLY, || format!("{request:?} got {reply:?}"))?;
        let rest = model.connections.get(connection).map(|it| it.requests.as_slice()).unwrap_or_default();
        ensure(reply.body != ReplyBody::Bye || rest.is_empty(), ONE_REPLY, || {
            format!("connection {connection} got its goodbye, and still waits for {rest:?}")
        })?;
        self.replied(model, *connection, reply)
    }

    fn finish(&mut self, model: &Model) -> Result<(), Broken> {
        let waits = model.connections.iter().find(|(_, it)| !it.requests.is_empty());
        ensure(waits.is_none(), ONE_REPLY, || format!("there never was a reply: {waits:?}"))
    }
}

impl Replies {
    fn replied(&mut self, model: &Model, connection: ConnectionId, reply: &Reply) -> Result<(), Broken> {
        let asked = Asked { connection, request: reply.id };
        let expected = self.expected.take_if(|(whose, _)| *whose == asked);
        match expected {
            Some((_, Answer::Just(body))) => {
                let name = if let ReplyBody::Sent { .. } = body { ACKNOWLEDGED } else { name_of(&body) };
                ensure(body == reply.body, name, || format!("the log says {body:?}, the reply is {:?}", reply.body))
            }
            Some((_, Answer::Refused)) => {
                ensure(matches!(reply.body, ReplyBody::Refused(_)), name_of(&reply.body), || {
                    format!("the log refuses it, the reply is {:?}", reply.body)
                })
            }
            None => {
                ensure(!needs_fact(&reply.body) || was_said(model, connection, reply), name_of(&reply.body), || {
                    format!("{:?} is said to {connection}, and the log does not say it", reply.body)
                })
            }
        }
    }
}

fn answer(outcome: &Outcome) -> Answer {
    Answer::Just(match outcome {
        Outcome::Again(before) => return answer(before),
        Outcome::Message(message) => ReplyBody::Sent { number: message.number, at: message.at },
        Outcome::Built { room, .. } => ReplyBody::RoomCreated(room.clone()),
        Outcome::Exists(room) => ReplyBody::RoomExists(room.clone()),
        Outcome::Joined { room, .. } => ReplyBody::Invited(room.clone()),
        Outcome::Left(room) => ReplyBody::Left { room: room.room },
        Outcome::Received | Outcome::Quiet | Outcome::Removed(_) => ReplyBody::Done,
        Outcome::Refused => return Answer::Refused,
    })
}

/// Which invariant a wrong reply breaks.
fn name_of(body: &ReplyBody) -> &'static str {
    match body {
        ReplyBody::Sent { .. } => ACKNOWLEDGED,
        ReplyBody::RoomCreated(_) | ReplyBody::Invited(_) | ReplyBody::Left { .. } => rooms::PLACE,
        ReplyBody::RoomExists(_) => rooms::SAME_MEMBERS,
        ReplyBody::Refused(Refusal::StorageFailed) => STORAGE,
        _ => ONE_REPLY,
    }
}

/// Whether a post had this answer before, which was lost with its connection.
fn was_said(model: &Model, connection: ConnectionId, reply: &Reply) -> bool {
    let before = model.user(connection).and_then(|user| {
        let session = model.sessions.get(user)?.id?;
        model.conference.outcome_of(user, PostId { session, request: reply.id })
    });
    matches!(before.map(answer), Some(Answer::Just(body)) if body == reply.body)
}

/// Whether only a fact can lead to it.
fn needs_fact(body: &ReplyBody) -> bool {
    use ReplyBody::*;
    matches!(body, Sent { .. } | RoomCreated(_) | Invited(_) | Left { .. })
}

/// Whether a reply is of the kind that was asked for.
fn fits(request: &RequestBody, reply: &ReplyBody) -> bool {
    use RequestBody as Ask;
    match reply {
        ReplyBody::Refused(_) => true,
        ReplyBody::Welcome { user, .. } => matches!(request, Ask::Login { name, .. } if spelled(name) == user.as_str()),
        ReplyBody::LoginFailed(_) => matches!(request, Ask::Login { .. } | Ask::Resume { .. }),
        ReplyBody::Resumed { .. } => matches!(request, Ask::Resume { .. }),
        ReplyBody::Missed { .. } => matches!(request, Ask::Missed),
        ReplyBody::Bye => matches!(request, Ask::Logout),
        ReplyBody::Sent { .. } => {
            matches!(request, Ask::Broadcast { .. } | Ask::RoomMessage { .. } | Ask::DirectMessage { .. })
        }
        ReplyBody::Done => matches!(
            request,
            Ask::DirectReceived { .. } | Ask::WithdrawOffer { .. } | Ask::AnswerOffer { .. } | Ask::CatchUp | Ask::Ping
        ),
        ReplyBody::ActiveUsers(_) => matches!(request, Ask::ActiveUsers),
        ReplyBody::RoomCreated(_) | ReplyBody::RoomExists(_) => matches!(request, Ask::BuildRoom { .. }),
        ReplyBody::Rooms(_) => matches!(request, Ask::Rooms),
        ReplyBody::Invited(_) => matches!(request, Ask::Invite { .. }),
        ReplyBody::Left { .. } => matches!(request, Ask::Leave { .. }),
        ReplyBody::History { .. } => matches!(request, Ask::History { .. } | Ask::Latest { .. }),
        ReplyBody::Found { .. } => matches!(request, Ask::Find { .. }),
        ReplyBody::Offered { .. } => matches!(request, Ask::Offer { .. }),
        ReplyBody::Devices(devices) => matches!(request, Ask::Devices { user, .. } if user == devices.user.as_str()),
    }
}
