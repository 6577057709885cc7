//! Requests and what servers say, with arguments that mean something most of the time, and extreme ones.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use arbitrary::{Arbitrary, Unstructured};
use toom_core::id::{MessageNumber, OfferId, PeerIndex, RequestId, RoomId};
use toom_core::name::UserName;
use toom_core::secure::{Password, PublicKey, SealedOffer};
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_NAME_BYTES, MAX_PASSWORD_BYTES, MAX_ROOM_MEMBERS, MAX_TEXT_BYTES};
use toom_core::wire::message::{
    ActiveUser, Cursor, Devices, Event, FoundIn, FoundMessage, HistoryKind, LoginRefusal, OfferEnd, PastMessage,
    Refusal, Reply, ReplyBody, Request, RequestBody, RoomInfo, ServerMessage,
};

/// The people. The first three have an account at first.
pub const NAMES: [&str; 5] = ["ann", "bob", "cid", "dot", "eve"];

/// The passwords that accounts may have.
pub const PASSWORDS: [&str; 3] = ["first", "second", "third"];

/// Somebody, as typed.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct AnyName(u8);

impl AnyName {
    /// As typed: what is no name, now and then.
    pub fn text(self) -> String {
        match self.0 {
            247 => String::new(),
            248 => "x".repeat(MAX_NAME_BYTES),
            249 => "x".repeat(MAX_NAME_BYTES + 1),
            250 => "é".repeat(1_000),
            251 => "../ann".to_owned(),
            252 => "Ann".to_owned(),
            253 => "a\u{1b}[2J".to_owned(),
            254 => "a;b\n".to_owned(),
            _ => self.name().to_string(),
        }
    }

    /// One of [`NAMES`].
    pub fn name(self) -> UserName {
        // Mostly those who have an account.
        name(NAMES[[0, 1, 2, 0, 1, 2, 3, 4][usize::from(self.0 % 8)]])
    }
}

/// A name that is one.
pub fn name(text: &str) -> UserName {
    UserName::new(text).expect("a name")
}

/// What is written.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct AnyText(u8);

impl AnyText {
    /// Mostly short.
    pub fn text(self) -> String {
        match self.0 {
            252 => String::new(),
            253 => "y".repeat(MAX_TEXT_BYTES),
            254 => "y".repeat(MAX_TEXT_BYTES + 1),
            255 => "\0\u{1b}]0;\u{7}\u{202e};\n\\".to_owned(),
            words => words.to_string(),
        }
    }
}

/// A small number, or an extreme one.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct AnyNumber(u8);

impl AnyNumber {
    /// 0 to 7, the smallest most often, or close to the largest.
    pub fn number(self) -> u64 {
        const SMALL: [u64; 16] = [1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 5, 6, 7, 0];
        if self.0 < 252 { SMALL[usize::from(self.0 % 16)] } else { u64::MAX - u64::from(255 - self.0) }
    }

    /// The same for a room: saturated.
    pub fn room(self) -> RoomId {
        RoomId(u32::try_from(self.number()).unwrap_or(u32::MAX))
    }
}

/// What somebody asks.
#[derive(Clone, Debug)]
pub enum AnyBody {
    /// With one of the passwords, or none of them.
    Login { name: AnyName, password: u8 },
    /// As it says.
    Logout,
    /// As it says.
    Broadcast { text: AnyText },
    /// As it says.
    RoomMessage { room: AnyNumber, text: AnyText },
    /// As it says.
    DirectMessage { to: AnyName, text: AnyText },
    /// As it says.
    DirectReceived { from: AnyName, through: AnyNumber },
    /// As it says.
    ActiveUsers,
    /// With up to three users, or too many.
    BuildRoom { users: [AnyName; 3], count: u8 },
    /// As it says.
    Rooms,
    /// As it says.
    Invite { room: AnyNumber, user: AnyName },
    /// As it says.
    Leave { room: AnyNumber },
    /// As it says.
    History { rooms: bool, minutes: i8, after: Option<(Option<AnyNumber>, AnyNumber)> },
    /// As it says.
    Offer { to: AnyName, device: u8, index: u8 },
    /// As it says.
    AnswerOffer { offer: AnyNumber, index: Option<u8> },
    /// As it says.
    WithdrawOffer { offer: AnyNumber },
    /// As it says.
    CatchUp,
    /// As it says.
    Devices { user: AnyName, offering: bool },
}

/// What others depend on is what is asked most; what ends a session is asked seldom.
impl<'a> Arbitrary<'a> for AnyBody {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match bytes.arbitrary::<u8>()? % 64 {
            0..=8 => AnyBody::RoomMessage { room: bytes.arbitrary()?, text: bytes.arbitrary()? },
            9..=16 => AnyBody::BuildRoom { users: bytes.arbitrary()?, count: bytes.arbitrary()? },
            17..=21 => AnyBody::Invite { room: bytes.arbitrary()?, user: bytes.arbitrary()? },
            22..=25 => AnyBody::Leave { room: bytes.arbitrary()? },
            26..=30 => AnyBody::Broadcast { text: bytes.arbitrary()? },
            31..=35 => AnyBody::DirectMessage { to: bytes.arbitrary()?, text: bytes.arbitrary()? },
            36..=39 => AnyBody::DirectReceived { from: bytes.arbitrary()?, through: bytes.arbitrary()? },
            40..=47 => {
                let (rooms, minutes, after) = (bytes.arbitrary()?, bytes.arbitrary()?, bytes.arbitrary()?);
                AnyBody::History { rooms, minutes, after }
            }
            48..=50 => AnyBody::Offer { to: bytes.arbitrary()?, device: bytes.arbitrary()?, index: bytes.arbitrary()? },
            51..=53 => AnyBody::AnswerOffer { offer: bytes.arbitrary()?, index: bytes.arbitrary()? },
            54 => AnyBody::WithdrawOffer { offer: bytes.arbitrary()? },
            55..=56 => AnyBody::ActiveUsers,
            57 => AnyBody::Rooms,
            58 => AnyBody::Devices { user: bytes.arbitrary()?, offering: bytes.arbitrary()? },
            59 => AnyBody::CatchUp,
            60 => AnyBody::Logout,
            61..=63 => AnyBody::Login { name: bytes.arbitrary()?, password: bytes.arbitrary()? },
            _ => unreachable!("less than 64"),
        })
    }
}

/// About when everything happens.
pub const EPOCH_MS: i64 = 1_654_063_500_000;

impl AnyBody {
    /// The request.
    pub fn request(&self, id: u64) -> Request {
        Request { id: RequestId(id), body: self.body() }
    }

    fn body(&self) -> RequestBody {
        match self {
            AnyBody::Login { name, password } => {
                RequestBody::Login { name: name.text(), password: Password(typed(*password)), udp_port: 6_000 }
            }
            AnyBody::Logout => RequestBody::Logout,
            AnyBody::Broadcast { text } => RequestBody::Broadcast { text: text.text() },
            AnyBody::RoomMessage { room, text } => RequestBody::RoomMessage { room: room.room(), text: text.text() },
            AnyBody::DirectMessage { to, text } => RequestBody::DirectMessage { to: to.text(), text: text.text() },
            AnyBody::DirectReceived { from, through } => {
                RequestBody::DirectReceived { from: from.name(), through: MessageNumber(through.number()) }
            }
            AnyBody::ActiveUsers => RequestBody::ActiveUsers,
            AnyBody::BuildRoom { users, count } => RequestBody::BuildRoom { users: listed(users, *count) },
            AnyBody::Rooms => RequestBody::Rooms,
            AnyBody::Invite { room, user } => RequestBody::Invite { room: room.room(), user: user.text() },
            AnyBody::Leave { room } => RequestBody::Leave { room: room.room() },
            AnyBody::History { rooms, minutes, after } => RequestBody::History {
                kind: if *rooms { HistoryKind::Rooms } else { HistoryKind::Broadcast },
                not_before: since(*minutes),
                after: after.map(|(room, number)| Cursor {
                    room: room.map(AnyNumber::room),
                    number: MessageNumber(number.number()),
                }),
            },
            AnyBody::Offer { to, device: of, index } => RequestBody::Offer {
                to: to.text(),
                device: device(*of),
                index: PeerIndex((*index).into()),
                sealed: sealed(*index),
            },
            AnyBody::Devices { user, offering } => RequestBody::Devices { user: user.text(), offering: *offering },
            AnyBody::AnswerOffer { offer, index } => RequestBody::AnswerOffer {
                offer: OfferId(offer.number()),
                index: index.map(|index| PeerIndex(index.into())),
            },
            AnyBody::WithdrawOffer { offer } => RequestBody::WithdrawOffer { offer: OfferId(offer.number()) },
            AnyBody::CatchUp => RequestBody::CatchUp,
        }
    }
}

fn typed(password: u8) -> String {
    match password {
        252 => String::new(),
        253 => "p".repeat(MAX_PASSWORD_BYTES),
        254 => "p".repeat(MAX_PASSWORD_BYTES + 1),
        // The first one is right most often.
        password => match password % 8 {
            0..=4 => PASSWORDS[0].to_owned(),
            5 => PASSWORDS[1].to_owned(),
            6 => PASSWORDS[2].to_owned(),
            _ => "wrong".to_owned(),
        },
    }
}

fn listed(users: &[AnyName], count: u8) -> Vec<String> {
    if count == 255 {
        return vec!["x".to_owned(); MAX_ROOM_MEMBERS + 1];
    }
    users.iter().take(usize::from(count) % (users.len() + 1)).map(|user| user.text()).collect()
}

fn since(minutes: i8) -> Timestamp {
    match minutes {
        i8::MIN => Timestamp::from_millis(i64::MIN),
        i8::MAX => Timestamp::from_millis(i64::MAX),
        minutes => Timestamp::from_millis(EPOCH_MS + i64::from(minutes) * 60_000),
    }
}

/// One of few devices, so that people use them again.
pub fn device(which: u8) -> PublicKey {
    PublicKey([which % 4; 32])
}

/// What nobody can open.
fn sealed(index: u8) -> SealedOffer {
    SealedOffer::new(vec![index; index.into()]).expect("few bytes")
}

/// What a server says.
#[derive(Clone, Debug, Arbitrary)]
pub struct AnyServerMessage {
    kind: u8,
    number: AnyNumber,
    who: AnyName,
    text: AnyText,
    list: u8,
}

impl AnyServerMessage {
    /// The message.
    pub fn message(&self) -> ServerMessage {
        match self.kind % 32 {
            kind @ 0..20 => ServerMessage::Reply(Reply { id: RequestId(self.number.number()), body: self.reply(kind) }),
            kind => ServerMessage::Event(self.event(kind)),
        }
    }

    fn reply(&self, kind: u8) -> ReplyBody {
        let offer = OfferId(self.number.number());
        let (number, room) = (MessageNumber(self.number.number()), self.number.room());
        let users = vec![self.who.name(); usize::from(self.list)];
        match kind {
            0 => ReplyBody::Welcome { user: self.who.name(), failed_logins: u32::from(self.list) },
            1 => ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials),
            2 => ReplyBody::LoginFailed(LoginRefusal::Blocked { retry_after_ms: number.0 }),
            3 => ReplyBody::LoginFailed(LoginRefusal::AlreadyActive),
            4 => ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms: number.0 }),
            5 => ReplyBody::Bye,
            6 => ReplyBody::Sent { number, at: since(self.list as i8) },
            7 => ReplyBody::Done,
            8 => ReplyBody::ActiveUsers(users.into_iter().map(|user| self.active(user)).collect()),
            9 => ReplyBody::RoomCreated(self.room()),
            10 => ReplyBody::RoomExists(self.room()),
            11 => ReplyBody::Rooms(vec![self.room(); usize::from(self.list % 4)]),
            12 => ReplyBody::Invited(self.room()),
            13 => ReplyBody::Left { room },
            14 => {
                let next = Some(Cursor { room: Some(room), number }).filter(|_| self.list % 2 == 1);
                ReplyBody::History { messages: vec![self.past(); usize::from(self.list % 8)], next }
            }
            15 if self.list >= 224 => {
                let place = [FoundIn::Broadcast, FoundIn::Room(room), FoundIn::Direct(self.who.name())];
                let past = self.past();
                let found = |place| FoundMessage {
                    place,
                    number,
                    at: past.at,
                    from: past.from.clone(),
                    text: past.text.clone(),
                };
                ReplyBody::Found { messages: place.map(found).to_vec(), next: None }
            }
            15 => ReplyBody::Offered { offer },
            16 => ReplyBody::Refused(Refusal::NoSuchUser(vec![self.who.text(); usize::from(self.list % 8)])),
            17 => ReplyBody::Refused(Refusal::UserOffline(users)),
            18 if self.list.is_multiple_of(2) => ReplyBody::Refused(Refusal::LimitReached(self.text.text())),
            18 => ReplyBody::Refused(Refusal::StorageFailed),
            _ => {
                let keys = (0..self.list % 4).map(device).collect();
                ReplyBody::Devices(Devices { user: self.who.name(), keys, active: None })
            }
        }
    }

    fn event(&self, kind: u8) -> Event {
        let (number, at, from, text) =
            (MessageNumber(self.number.number()), since(self.list as i8), self.who.name(), self.text.text());
        let offer = OfferId(number.0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::from(self.list)));
        match kind {
            20 => Event::Broadcast { number, at, from, text },
            21 => Event::RoomMessage { room: self.number.room(), number, at, from, text },
            22 => Event::DirectMessage { number, at, from, text },
            23 => Event::Joined { user: from },
            24 => Event::Left { user: from },
            25 => Event::RoomCreated(self.room()),
            26 => Event::RoomChanged(self.room()),
            27 => {
                let (device, index, sealed) = (device(self.list), PeerIndex(self.list.into()), sealed(self.list));
                Event::Offer { offer, from, device, keys: vec![device], address, index, sealed }
            }
            28 => {
                let (index, device) = (PeerIndex(self.list.into()), PublicKey([self.list; 32]));
                Event::OfferAccepted { offer, address, index, device }
            }
            29 => Event::OfferEnded { offer, reason: OfferEnd::Rejected },
            30 => Event::OfferEnded { offer, reason: OfferEnd::Withdrawn },
            _ => Event::OfferEnded { offer, reason: OfferEnd::Expired },
        }
    }

    fn active(&self, name: UserName) -> ActiveUser {
        let address = IpAddr::from([192, 0, 2, self.list]);
        ActiveUser { name, address, udp_port: self.list.into(), since: since(self.list as i8) }
    }

    fn room(&self) -> RoomInfo {
        RoomInfo { room: self.number.room(), members: vec![self.who.name(); usize::from(self.list)] }
    }

    fn past(&self) -> PastMessage {
        let (number, at) = (MessageNumber(self.number.number()), since(self.list as i8));
        PastMessage { room: None, number, at, from: self.who.name(), text: self.text.text() }
    }
}
