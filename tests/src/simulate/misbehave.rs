//! Connections without a client: guesses of passwords, and what no client does.

use core::time::Duration;
use std::net::Ipv4Addr;

use toom_core::id::{MessageNumber, OfferId, PeerIndex, RoomId};
use toom_core::secure::{OfferContents, OfferParties, Password, PeerSecret, ResumeSecret, seal_offer};
use toom_core::text::FileLabel;
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_ROOM_MEMBERS, MAX_TEXT_BYTES};
use toom_core::wire::message::{Cursor, HistoryKind, Positions, RequestBody};

use super::act::{Beginning, Claimed, Flooded, Odd, Requested, Seen, Typed, Whom};
use super::stage::{Later, Stage};
use crate::scenario::steps::{login_request, request, user};
use crate::sim::keys;

/// A login takes no longer, mostly.
const LOGIN: Duration = Duration::from_secs(2);
/// The request that follows a login has this id, and those after it the next ones.
const SECOND: u64 = 2;

impl Stage {
    /// Several strangers log in under a name, all at once.
    pub(super) fn guess(&mut self, name: Whom, password: Typed, times: u16, lasting: Duration) {
        let login = login_request(1, &self.typed_name(name), &self.typed_password(name, password));
        for _ in 0..times {
            let raw = self.simulation.connect_raw(None);
            self.simulation.greet_raw(raw);
            self.simulation.write_raw(raw, &login);
            self.until(raw, lasting);
        }
    }

    /// Somebody at a person's computer connects and does something odd.
    pub(super) fn misbehave(&mut self, number: usize, beginning: Beginning, then: Odd, lasting: Duration) {
        if beginning == Beginning::Login {
            // Or they would be active already.
            self.hang_up(number);
        }
        let raw = self.simulation.connect_raw(self.people[number].home);
        let person = &self.people[number];
        let login = login_request(1, person.name, &person.password());
        match beginning {
            Beginning::Silence => {}
            Beginning::Greeting => self.simulation.greet_raw(raw),
            Beginning::Login => {
                self.simulation.greet_raw(raw);
                self.simulation.write_raw(raw, &login);
            }
        }
        let bytes = match then {
            Odd::Silence => Vec::new(),
            Odd::Garbage { bytes } => {
                let mut garbage = vec![0; bytes];
                self.people[number].dice.fill(&mut garbage);
                garbage
            }
            Odd::HalfFrame { bytes } => login[..bytes.min(login.len() - 1)].to_vec(),
            Odd::Trickle { pause } => {
                self.trickle(raw, &login, pause);
                Vec::new()
            }
            Odd::EndlessFrame => u32::MAX.to_be_bytes().to_vec(),
            Odd::EmptyFrame => vec![0; 4],
            Odd::Request(requested) => request(SECOND, self.odd_request(number, requested)),
            Odd::Flood { count, of } => {
                let ids = SECOND..SECOND + u64::from(count);
                ids.flat_map(|id| request(id, self.flooded(number, raw, id, of))).collect()
            }
        };
        let wait = if beginning == Beginning::Login { LOGIN } else { Duration::ZERO };
        self.later(wait, Later::Write(raw, bytes));
        self.until(raw, wait + lasting);
    }

    /// Somebody at a person's computer logs in under their name, whoever is there already.
    pub(super) fn log_in_beside(&mut self, number: usize, lasting: Duration) {
        let person = &self.people[number];
        let login = login_request(1, person.name, &person.password());
        self.at_home(number, &login, lasting);
    }

    /// Somebody at a person's computer comes with a secret, and reads what was missed.
    pub(super) fn claim(&mut self, number: usize, whose: Whom, (secret, seen): (Claimed, Seen), lasting: Duration) {
        let whose = self.people[self.person_meant(whose)].name;
        let granted = self.heard.borrow().secrets.get(whose).cloned().unwrap_or_default();
        let mut newest = granted.into_iter().rev();
        let secret = match secret {
            Claimed::Newest => newest.next(),
            Claimed::Earlier => newest.nth(1),
            Claimed::MadeUp => None,
        };
        let secret = secret.unwrap_or(ResumeSecret([number as u8; 32]));
        let positions = match seen {
            Seen::Nothing => Positions::default(),
            Seen::Everything => {
                let rooms = (0..5).map(|room| (RoomId(room), MessageNumber(u64::MAX))).collect();
                Positions { broadcasts: MessageNumber(u64::MAX), rooms }
            }
        };
        let asked = [
            RequestBody::Resume { user: user(whose), secret, udp_port: 9, positions },
            RequestBody::Missed,
            RequestBody::Missed,
            RequestBody::Ping,
            RequestBody::Rooms,
        ];
        let requests: Vec<u8> = (1..).zip(asked).flat_map(|(id, body)| request(id, body)).collect();
        self.at_home(number, &requests, lasting);
    }

    /// Writes requests on a new connection from a person's computer.
    fn at_home(&mut self, number: usize, requests: &[u8], lasting: Duration) {
        let Some(home) = self.people[number].home else { return };
        let raw = self.simulation.connect_raw(Some(home));
        self.simulation.greet_raw_at(raw, home);
        self.simulation.write_raw(raw, requests);
        self.until(raw, lasting);
    }

    fn flooded(&mut self, number: usize, raw: usize, id: u64, of: Flooded) -> RequestBody {
        match of {
            Flooded::ActiveUsers => RequestBody::ActiveUsers,
            Flooded::Broadcast { mark } => RequestBody::Broadcast { text: format!("{mark}.{id}:") },
            Flooded::Offer { to, mark } => self.flooded_offer(number, raw, to, (mark, id)),
        }
    }

    /// One that the receiver opens, if they are who they seem to be.
    fn flooded_offer(&mut self, number: usize, raw: usize, to: Whom, (mark, id): (u64, u64)) -> RequestBody {
        let by = keys::stranger(self.simulation.raw(raw).connection().0);
        let receiver = self.person_meant(to);
        let device = keys::device(self.people[receiver].home.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        let device = device.secret.public();
        let [sender, receiver] = [number, receiver].map(|person| user(self.people[person].name));
        let parties = OfferParties { sender: &sender, receiver: &receiver };
        let PeerSecret(seed) = secret_of(mark, id + 1_000_000);
        let contents = OfferContents {
            label: FileLabel::new("nothing"),
            bytes: Some(id),
            secret: secret_of(mark, id),
            listing: None,
        };
        let sealed = seal_offer(parties, &by.secret, &device, &contents, seed).expect("a small offer");
        RequestBody::Offer { to: self.typed_name(to), device, index: PeerIndex(id as u32), sealed }
    }

    fn person_meant(&self, whom: Whom) -> usize {
        if let Whom::Person(number) = whom { number % self.people.len() } else { 0 }
    }

    fn odd_request(&self, number: usize, requested: Requested) -> RequestBody {
        let person = &self.people[number];
        match requested {
            Requested::Login => {
                RequestBody::Login { name: person.name.to_owned(), password: Password(person.password()), udp_port: 0 }
            }
            Requested::LogOut => RequestBody::Logout,
            Requested::EndlessBroadcast => RequestBody::Broadcast { text: "x".repeat(MAX_TEXT_BYTES + 1) },
            Requested::Broadcast(text) => RequestBody::Broadcast { text: text.words() },
            Requested::StrangeCursor => RequestBody::History {
                kind: HistoryKind::Rooms,
                not_before: Timestamp::from_millis(i64::MIN),
                after: Some(Cursor { room: Some(RoomId(u32::MAX)), number: MessageNumber(u64::MAX) }),
            },
            Requested::AnswerOffer => RequestBody::AnswerOffer { offer: OfferId(u64::MAX), index: None },
            Requested::WithdrawOffer => RequestBody::WithdrawOffer { offer: OfferId(0) },
            // Of oneself: nothing can be lost by it.
            Requested::Receipt => {
                RequestBody::DirectReceived { from: user(person.name), through: MessageNumber(u64::MAX) }
            }
            Requested::CatchUp => RequestBody::CatchUp,
            Requested::CrowdedRoom => {
                RequestBody::BuildRoom { users: (0..=MAX_ROOM_MEMBERS).map(|number| format!("user{number}")).collect() }
            }
        }
    }
}

/// A secret that nobody else has.
fn secret_of(mark: u64, id: u64) -> PeerSecret {
    PeerSecret(blake3::hash(format!("offer {mark}.{id}").as_bytes()).into())
}
