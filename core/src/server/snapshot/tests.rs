//! Snapshots, compared with applying every fact.

use proptest::prelude::*;

use super::super::fact::{Committed, Fact, PostId};
use super::super::io::Input;
use super::super::testing::*;
use super::super::{Server, Settings};
use super::*;
use crate::id::{MessageNumber, OfferId, RequestId, RoomId, SessionId};
use crate::machine::Machine;
use crate::name::UserName;
use crate::secure::{PublicKey, ResumeHash};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "Zo\u{eb}"];

fn server() -> Server {
    Server::new(Settings::default(), hash("decoy"), [0; 32])
}

/// Applies facts behind those that it has; what became of them.
fn apply(server: &mut Server, first: u64, facts: &[Fact]) -> Vec<Output> {
    let mut out = Vec::new();
    for (index, fact) in (first..).zip(facts) {
        let committed = Committed { index: LogIndex(index), ticket: None, fact: fact.clone() };
        let wall = Timestamp::from_millis(60_000);
        server.handle(Instant::ZERO, Input::Recovered { committed: &committed, wall }, &mut out);
    }
    out
}

fn restored(snapshot: &[u8]) -> Result<(Server, Vec<Output>), UnreadableSnapshot> {
    let (mut server, mut out) = (server(), Vec::new());
    let index = server.restore(snapshot, Instant::ZERO, Timestamp::from_millis(60_000), &mut out)?;
    assert_eq!(server.applied(), index);
    Ok((server, out))
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let user = || prop::sample::select(&NAMES[..]).prop_map(name);
    let room = || (1..4_u32).prop_map(RoomId);
    let number = || (0..9_u64).prop_map(MessageNumber);
    let at = Timestamp::from_millis(55_000);
    let members = prop::collection::btree_set(user(), 1..4);
    let fact = prop_oneof![
        4 => user().prop_map(|name| Fact::AccountAdded { name, hash: hash("x") }),
        1 => user().prop_map(|name| Fact::PasswordChanged { name, hash: hash("y") }),
        1 => user().prop_map(|name| Fact::AccountRemoved { name }),
        1 => user().prop_map(move |name| Fact::Blocked { name: name.to_string(), at }),
        2 => (user(), 1..4_u64, 1..6_u64).prop_map(move |(from, session, request)| {
            let id = PostId { session: SessionId(session), request: RequestId(request) };
            Fact::Broadcast { from, text: text("x"), at, id: Some(id) }
        }),
        2 => (user(), 1..4_u64).prop_map(move |(name, session)| Fact::SessionStarted {
            name,
            session: SessionId(session),
            device: PublicKey([1; 32]),
            secret: ResumeHash([2; 32]),
            at,
        }),
        1 => (user(), 1..4_u64, any::<bool>()).prop_map(move |(name, session, resumable)| {
            Fact::SessionEnded { name, session: SessionId(session), at, resumable }
        }),
        1 => (0..99_u64).prop_map(|through| Fact::OffersNumbered { through: OfferId(through) }),
        2 => (user(), members).prop_map(move |(by, mut members)| {
            members.insert(by.clone());
            Fact::RoomBuilt { by, members: members.into_iter().collect(), at }
        }),
        2 => (room(), user(), user()).prop_map(move |(room, by, user)| Fact::RoomJoined { room, by, user, at }),
        2 => (room(), user()).prop_map(move |(room, user)| Fact::RoomLeft { room, user, at }),
        3 => (room(), user()).prop_map(move |(room, from)| room_fact(room, from, at)),
        3 => (user(), user()).prop_map(move |(from, to)| direct_fact(from, to, at)),
        2 => (user(), user(), number())
            .prop_map(|(user, peer, through)| Fact::DirectReceived { user, peer, through }),
        1 => (user(), 0..40_u8)
            .prop_map(move |(name, device)| Fact::DeviceAdded { name, device: PublicKey([device; 32]), at }),
    ];
    prop::collection::vec(fact, 0..60)
}

fn room_fact(room: RoomId, from: UserName, at: Timestamp) -> Fact {
    Fact::RoomMessage { room, from, text: text("x"), at, id: None }
}

fn direct_fact(from: UserName, to: UserName, at: Timestamp) -> Fact {
    Fact::DirectMessage { from, to, text: text("x"), at, id: None }
}

proptest! {
    /// The same conference, the same blocks, and from then on the same messages.
    #[test]
    fn a_snapshot_and_the_facts_behind_it_are_as_good_as_all_facts(facts in facts(), place in any::<prop::sample::Index>()) {
        let place = place.index(facts.len() + 1);
        let (mut whole, mut before) = (server(), server());
        apply(&mut before, 1, &facts[..place]);
        apply(&mut whole, 1, &facts[..place]);
        let expected = apply(&mut whole, place as u64 + 1, &facts[place..]);
        let (mut after, _) = restored(&before.snapshot()).expect("readable");
        prop_assert!(after.same_conference(&before));
        prop_assert_eq!(apply(&mut after, place as u64 + 1, &facts[place..]), expected);
        prop_assert!(after.same_conference(&whole));
        for name in NAMES {
            let rest = |server: &Server| server.blocks.remaining(name, Instant::ZERO);
            prop_assert_eq!(rest(&after), rest(&whole), "{}", name);
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_snapshot(facts in facts(), place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut server = server();
        apply(&mut server, 1, &facts);
        let snapshot = server.snapshot();
        let place = place.index(snapshot.len());
        prop_assert!(restored(&snapshot[..place]).is_err());
        let mut damaged = snapshot.clone();
        damaged[place] ^= 1 << bit;
        prop_assert!(restored(&damaged).is_err());
        let longer = [&snapshot[..], b"\0"].concat();
        prop_assert!(restored(&longer).is_err());
    }
}

#[test]
fn the_rooms_are_told_as_when_the_log_is_read() {
    let at = Timestamp::from_millis(0);
    let account = |user| Fact::AccountAdded { name: name(user), hash: hash("x") };
    let built = |members: [&str; 2]| Fact::RoomBuilt { by: name("a"), members: members.map(name).to_vec(), at };
    let facts = [account("a"), account("b"), account("c"), built(["a", "b"]), built(["a", "c"])];
    let mut server = server();
    let told = apply(&mut server, 1, &facts);
    assert_eq!(told.len(), 2);
    assert_eq!(restored(&server.snapshot()).expect("readable").1, told);
}
