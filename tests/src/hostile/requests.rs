//! A user's requests of all kinds, up to their limits and over them.

use std::io;

use toom_core::id::{MessageNumber, OfferId, RoomId};
use toom_core::name::UserName;
use toom_core::time::Timestamp;
use toom_core::wire::limits::{
    MAX_NAME_BYTES, MAX_OFFERS_PER_USER, MAX_ROOM_MEMBERS, MAX_ROOMS_PER_USER, MAX_TEXT_BYTES,
};
use toom_core::wire::message::{Cursor, HistoryKind, Refusal, ReplyBody, RequestBody};

use super::arena::{Arena, CROWD, crowd};
use super::report::Outcome;
use super::stranger::{Stranger, login, loopback, offer, read_to_end};

/// Rooms: as many members as there may be, and as many rooms.
pub(super) fn rooms(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut people = Vec::new();
    for number in 0..CROWD {
        people.push(arena.session(&crowd(number), loopback(71))?);
    }
    let mut mallory = arena.session("mallory", loopback(71))?;
    let users = |from: usize, count: usize| -> Vec<String> { (from..from + count).map(crowd).collect() };
    // Oneself is a member, too.
    let largest = mallory.ask(RequestBody::BuildRoom { users: users(0, MAX_ROOM_MEMBERS - 1) })?;
    outcome.check(matches!(&largest, ReplyBody::RoomCreated(_)), format!("the largest room: {largest:?}"));
    let over = mallory.ask(RequestBody::BuildRoom { users: users(1, MAX_ROOM_MEMBERS) })?;
    outcome.check(is_limit(&over), format!("a room that is too large: {over:?}"));
    outcome.count_many("rooms at the limit and over it", 2);
    let wanted = if arena.options.short { 20 } else { MAX_ROOMS_PER_USER + 20 };
    let (mut built, mut refused) = (1, 0);
    // Two of the crowd each, so that each room is another.
    for number in 0..wanted {
        let pair = vec![crowd(number % CROWD), crowd((number + 1 + number / CROWD) % CROWD)];
        match mallory.ask(RequestBody::BuildRoom { users: pair })? {
            ReplyBody::RoomCreated(_) => built += 1,
            reply if is_limit(&reply) => refused += 1,
            other => outcome.fault(format!("a room was answered with {other:?}")),
        }
    }
    outcome.count_many("rooms built", built);
    outcome.count_many("rooms over the limit of a user", refused);
    outcome.check(built <= MAX_ROOMS_PER_USER as u64, format!("one user is in {built} rooms"));
    let listed = mallory.ask(RequestBody::Rooms)?;
    outcome.check(matches!(&listed, ReplyBody::Rooms(rooms) if !rooms.is_empty()), "the rooms cannot be listed");
    for _ in 0..arena.scaled(1_000) {
        let room = RoomId(1);
        let text = "to all of the largest room".repeat(100);
        match mallory.ask(RequestBody::RoomMessage { room, text })? {
            ReplyBody::Sent { .. } => outcome.count("messages to it"),
            other => outcome.fault(format!("a message to a room was answered with {other:?}")),
        }
    }
    outcome.check(
        people.iter().all(|person| !super::stranger::is_closed(&person.stream)),
        "somebody of the crowd was cut off",
    );
    Ok(())
}

fn is_limit(reply: &ReplyBody) -> bool {
    matches!(reply, ReplyBody::Refused(Refusal::LimitReached(_)))
}

/// Offers that nobody answers, of more bytes than there are, to a real client.
pub(super) fn offers(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut chewie = arena.client("chewie", &["--accept", "ask"])?;
    let mut mallory = arena.session("mallory", loopback(74))?;
    let device = match mallory.ask(RequestBody::Devices { user: "chewie".into(), offering: true })? {
        ReplyBody::Devices(devices) => devices.active.ok_or_else(|| io::Error::other("chewie is not active"))?,
        other => return Err(io::Error::other(format!("chewie's device is not told: {other:?}"))),
    };
    for number in 0..4 * MAX_OFFERS_PER_USER {
        let offer = offer("mallory", "chewie", device).ok_or_else(|| io::Error::other("it cannot be sealed"))?;
        match mallory.ask(offer)? {
            ReplyBody::Offered { .. } if number < MAX_OFFERS_PER_USER => outcome.count("offered"),
            reply if is_limit(&reply) && number >= MAX_OFFERS_PER_USER => outcome.count("over the limit"),
            other => outcome.fault(format!("offer {number} was answered with {other:?}")),
        }
    }
    for _ in 0..MAX_OFFERS_PER_USER {
        chewie.find("an offer", |event| event["event"] == "offer")?;
    }
    outcome.check(chewie.said().panic().is_none(), "a client panicked");
    Ok(())
}

/// Everything else that can be asked, with values at the limits and over them: it is answered, or ends the connection.
pub(super) fn strange_values(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut mallory = arena.session("mallory", loopback(72))?;
    for round in 0..arena.scaled(100) {
        for body in strange() {
            match mallory.ask(body.clone()) {
                Ok(_) => outcome.count("answered"),
                Err(_) => {
                    outcome.count("closed");
                    mallory = arena.session("mallory", loopback(72))?;
                }
            }
        }
        if round == 0 {
            for body in [login(&"n".repeat(MAX_NAME_BYTES + 1), "x"), login("n", &"x".repeat(100_000))] {
                let mut stranger = arena.stranger(loopback(72))?;
                stranger.send(body)?;
                let ended = read_to_end(&stranger.stream);
                outcome.must("a login that is too long ends the connection", ended);
                outcome.count("closed");
            }
        }
    }
    before_the_login(arena, outcome)
}

fn before_the_login(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let is_login = |body: &RequestBody| matches!(body, RequestBody::Login { .. });
    for body in strange().into_iter().filter(|body| !is_login(body)) {
        let mut stranger: Stranger = arena.stranger(loopback(73))?;
        stranger.send(body)?;
        let ended = read_to_end(&stranger.stream);
        outcome.must("a request before the login ends the connection", ended);
        outcome.count("closed before a login");
    }
    Ok(())
}

fn strange() -> Vec<RequestBody> {
    let huge = "h".repeat(MAX_TEXT_BYTES + 1);
    let after = |room, number| Some(Cursor { room, number: MessageNumber(number) });
    let history = |not_before, after| RequestBody::History { kind: HistoryKind::Rooms, not_before, after };
    let name = UserName::new("luke").expect("a name");
    vec![
        RequestBody::Broadcast { text: String::new() },
        RequestBody::Broadcast { text: huge.clone() },
        RequestBody::RoomMessage { room: RoomId(u32::MAX), text: "x".into() },
        RequestBody::RoomMessage { room: RoomId(0), text: huge.clone() },
        RequestBody::DirectMessage { to: huge.clone(), text: "x".into() },
        RequestBody::DirectMessage { to: "\u{1b}]0;x\u{7}\u{202e}".into(), text: "x".into() },
        RequestBody::DirectMessage { to: "mallory".into(), text: "x".into() },
        RequestBody::DirectReceived { from: name, through: MessageNumber(u64::MAX) },
        RequestBody::BuildRoom { users: vec![String::new(); MAX_ROOM_MEMBERS] },
        RequestBody::BuildRoom { users: vec!["luke".into(); MAX_ROOM_MEMBERS + 1] },
        RequestBody::BuildRoom { users: vec![huge.clone(); 15] },
        RequestBody::Invite { room: RoomId(u32::MAX), user: huge },
        RequestBody::Leave { room: RoomId(u32::MAX) },
        history(Timestamp::from_millis(i64::MIN), None),
        history(Timestamp::from_millis(i64::MAX), after(Some(RoomId(u32::MAX)), u64::MAX)),
        history(Timestamp::from_millis(0), after(None, u64::MAX)),
        RequestBody::AnswerOffer { offer: OfferId(u64::MAX), index: None },
        RequestBody::WithdrawOffer { offer: OfferId(u64::MAX) },
        RequestBody::CatchUp,
        RequestBody::ActiveUsers,
        RequestBody::Rooms,
        login("mallory", "mallory"),
    ]
}
