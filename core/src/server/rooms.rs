//! Separate rooms: who is in which, and who may read what was said there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::readable::Readable;
use crate::id::{MessageNumber, RoomId};
use crate::machine::Usage;
use crate::name::UserName;
use crate::wire::limits::{MAX_ACCOUNTS, MAX_ROOM_MEMBERS, MAX_ROOMS, MAX_ROOMS_PER_USER};
use crate::wire::message::{Refusal, RoomInfo};

/// Rooms that one user has left and may still read in; of more, the oldest rooms are forgotten, so that coming
/// and going costs no memory.
const MAX_LEFT_ROOMS_PER_USER: usize = MAX_ROOMS_PER_USER;

/// All rooms. They are never taken down: an id means the same room for ever.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rooms {
    /// The room with id 1 comes first.
    rooms: Vec<Room>,
    /// For everyone who is or was in a room.
    readable: BTreeMap<UserName, BTreeMap<RoomId, Readable>>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Room {
    members: BTreeSet<UserName>,
    /// The newest message's number.
    last: MessageNumber,
}

/// Why a room was not built.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotBuilt {
    /// It is there already.
    Exists(RoomInfo),
    /// It may not be built.
    Refused(Refusal),
}

impl Rooms {
    /// Builds a room of `members`, of whom `by` is one.
    pub(super) fn build(&mut self, by: &UserName, members: BTreeSet<UserName>) -> Result<RoomInfo, NotBuilt> {
        self.may_build(by, &members)?;
        let room = RoomId(u32::try_from(self.rooms.len() + 1).unwrap_or(u32::MAX));
        for member in &members {
            self.readable.entry(member.clone()).or_default().entry(room).or_default().join(MessageNumber(0));
        }
        let info = RoomInfo { room, members: members.iter().cloned().collect() };
        self.rooms.push(Room { members, last: MessageNumber(0) });
        Ok(info)
    }

    /// Whether [`build`](Rooms::build) would build.
    pub(super) fn may_build(&self, by: &UserName, members: &BTreeSet<UserName>) -> Result<(), NotBuilt> {
        // A room with the same members is one of the builder's rooms.
        if let Some(room) = self.rooms_of(by).find(|room| self.get(*room).is_some_and(|it| it.members == *members)) {
            return Err(NotBuilt::Exists(RoomInfo { room, members: members.iter().cloned().collect() }));
        }
        let limit = |words: &str| Err(NotBuilt::Refused(Refusal::LimitReached(words.to_owned())));
        if members.len() > MAX_ROOM_MEMBERS {
            return limit("members of a room");
        }
        if self.rooms.len() >= MAX_ROOMS {
            return limit("rooms of this server");
        }
        if members.iter().any(|member| self.rooms_of(member).count() >= MAX_ROOMS_PER_USER) {
            return limit("rooms of one user");
        }
        Ok(())
    }

    /// `by` puts `user` into a room: the room as it is then.
    pub(super) fn join(&mut self, room: RoomId, by: &UserName, user: &UserName) -> Result<RoomInfo, Refusal> {
        self.may_join(room, by, user)?;
        let Some(it) = index(room).and_then(|index| self.rooms.get_mut(index)) else { return Err(Refusal::NoSuchRoom) };
        it.members.insert(user.clone());
        self.readable.entry(user.clone()).or_default().entry(room).or_default().join(it.last);
        self.info(room)
    }

    /// Whether [`join`](Rooms::join) would do it.
    pub(super) fn may_join(&self, room: RoomId, by: &UserName, user: &UserName) -> Result<(), Refusal> {
        let members = self.members_for(room, by)?;
        if members.contains(user) {
            return Err(Refusal::AlreadyAMember);
        }
        if members.len() >= MAX_ROOM_MEMBERS {
            return Err(Refusal::LimitReached("members of a room".to_owned()));
        }
        if self.rooms_of(user).count() >= MAX_ROOMS_PER_USER {
            return Err(Refusal::LimitReached("rooms of one user".to_owned()));
        }
        Ok(())
    }

    /// `user` leaves a room: the room as it is then.
    pub(super) fn leave(&mut self, room: RoomId, user: &UserName) -> Result<RoomInfo, Refusal> {
        self.members_for(room, user)?;
        let Some(it) = index(room).and_then(|index| self.rooms.get_mut(index)) else { return Err(Refusal::NoSuchRoom) };
        it.members.remove(user);
        if let Some(rooms) = self.readable.get_mut(user) {
            rooms.entry(room).or_default().leave(it.last);
            forget_oldest_left(rooms);
        }
        self.info(room)
    }

    /// A message of `user` in a room: its number.
    pub(super) fn post(&mut self, room: RoomId, user: &UserName) -> Result<MessageNumber, Refusal> {
        self.members_for(room, user)?;
        let Some(it) = index(room).and_then(|index| self.rooms.get_mut(index)) else { return Err(Refusal::NoSuchRoom) };
        it.last.0 += 1;
        Ok(it.last)
    }

    /// The members, for one of them.
    pub(super) fn members_for(&self, room: RoomId, user: &UserName) -> Result<&BTreeSet<UserName>, Refusal> {
        let it = self.get(room).ok_or(Refusal::NoSuchRoom)?;
        if it.members.contains(user) { Ok(&it.members) } else { Err(Refusal::NotAMember) }
    }

    /// The rooms of which `user` is a member, by id: the first message since they joined (this time, or before if nothing
    /// was said while they were away), and the newest message.
    pub(super) fn current(&self, user: &UserName) -> impl Iterator<Item = (RoomId, MessageNumber, MessageNumber)> {
        let rooms = self.readable.get(user).into_iter().flatten();
        rooms.filter_map(|(room, readable)| Some((*room, readable.since()?, self.get(*room)?.last)))
    }

    /// The same of one room, for a member.
    pub(super) fn current_in(&self, room: RoomId, user: &UserName) -> Option<(MessageNumber, MessageNumber)> {
        let since = self.readable.get(user)?.get(&room)?.since()?;
        Some((since, self.get(room)?.last))
    }

    /// The rooms of which `user` is a member, by id.
    pub(super) fn infos_of(&self, user: &UserName) -> impl Iterator<Item = RoomInfo> {
        self.rooms_of(user).filter_map(|room| self.info(room).ok())
    }

    /// The account of `user` was removed: the rooms that this person was a member of, as they are then. A later
    /// namesake has nothing to do with them.
    pub(super) fn remove_user(&mut self, user: &UserName) -> Vec<RoomInfo> {
        let rooms: Vec<RoomId> = self.rooms_of(user).collect();
        let left = rooms.into_iter().filter_map(|room| self.leave(room, user).ok()).collect();
        self.readable.remove(user);
        left
    }

    /// What `user` may read in all rooms, by room and number, after a message: room, first and last number.
    pub(super) fn intervals(
        &self,
        user: &UserName,
        after: Option<(RoomId, MessageNumber)>,
    ) -> impl Iterator<Item = (RoomId, MessageNumber, MessageNumber)> {
        let (from, after) = after.unwrap_or_default();
        self.readable.get(user).into_iter().flat_map(move |rooms| rooms.range(from..)).flat_map(
            move |(room, readable)| {
                let after = if *room == from { after } else { MessageNumber(0) };
                let last = self.get(*room).map(|it| it.last).unwrap_or_default();
                readable.intervals(after, last).map(|(first, last)| (*room, first, last))
            },
        )
    }

    /// The ids of all rooms.
    pub(super) fn ids(&self) -> impl Iterator<Item = RoomId> {
        (1..=u32::try_from(self.rooms.len()).unwrap_or(u32::MAX)).map(RoomId)
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("rooms", self.rooms.len(), MAX_ROOMS));
        each(Usage::new("users who are or were in rooms", self.readable.len(), MAX_ACCOUNTS));
    }

    /// How large each room is, and how many rooms each user has.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        for room in &self.rooms {
            each(Usage::new("members of one room", room.members.len(), MAX_ROOM_MEMBERS));
        }
        for rooms in self.readable.values() {
            let current = rooms.values().filter(|readable| readable.is_member()).count();
            each(Usage::new("rooms of one user", current, MAX_ROOMS_PER_USER));
            each(Usage::new("rooms that one user has left", rooms.len() - current, MAX_LEFT_ROOMS_PER_USER));
            rooms.values().for_each(|readable| each(readable.usage()));
        }
    }

    fn rooms_of(&self, user: &UserName) -> impl Iterator<Item = RoomId> {
        let rooms = self.readable.get(user).into_iter().flatten();
        rooms.filter(|(_, readable)| readable.is_member()).map(|(room, _)| *room)
    }

    fn get(&self, room: RoomId) -> Option<&Room> {
        self.rooms.get(index(room)?)
    }

    fn info(&self, room: RoomId) -> Result<RoomInfo, Refusal> {
        let it = self.get(room).ok_or(Refusal::NoSuchRoom)?;
        Ok(RoomInfo { room, members: it.members.iter().cloned().collect() })
    }
}

fn index(room: RoomId) -> Option<usize> {
    usize::try_from(room.0).ok()?.checked_sub(1)
}

fn forget_oldest_left(rooms: &mut BTreeMap<RoomId, Readable>) {
    let left = || rooms.iter().filter(|(_, readable)| !readable.is_member()).map(|(room, _)| *room);
    if left().count() > MAX_LEFT_ROOMS_PER_USER
        && let Some(oldest) = left().next()
    {
        rooms.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::name;
    use proptest::prelude::*;

    fn set(names: &[&str]) -> BTreeSet<UserName> {
        names.iter().map(|text| name(text)).collect()
    }

    fn all(rooms: &Rooms, user: &str, after: Option<(u32, u64)>) -> Vec<(u32, u64, u64)> {
        let after = after.map(|(room, number)| (RoomId(room), MessageNumber(number)));
        rooms.intervals(&name(user), after).map(|(room, first, last)| (room.0, first.0, last.0)).collect()
    }

    #[test]
    fn the_same_members_again_find_the_room_with_the_lowest_id() {
        let mut rooms = Rooms::default();
        for (room, members) in [(1, ["a", "b"]), (2, ["a", "c"])] {
            assert_eq!(rooms.build(&name("a"), set(&members)).map(|info| info.room), Ok(RoomId(room)));
        }
        rooms.join(RoomId(2), &name("a"), &name("b")).unwrap();
        rooms.leave(RoomId(2), &name("c")).unwrap();
        let found = rooms.build(&name("b"), set(&["a", "b"]));
        assert_eq!(found, Err(NotBuilt::Exists(RoomInfo { room: RoomId(1), members: vec![name("a"), name("b")] })));
        rooms.leave(RoomId(1), &name("a")).unwrap();
        let found = rooms.build(&name("b"), set(&["a", "b"]));
        assert_eq!(found, Err(NotBuilt::Exists(RoomInfo { room: RoomId(2), members: vec![name("a"), name("b")] })));
        assert!(rooms.build(&name("a"), set(&["a", "c"])).is_ok(), "what counts is who is there now");
    }

    #[test]
    fn ids_that_are_no_room_are_told_before_membership() {
        let mut rooms = Rooms::default();
        rooms.build(&name("a"), set(&["a", "b"])).unwrap();
        for room in [0, 2, u32::MAX] {
            assert_eq!(rooms.post(RoomId(room), &name("x")), Err(Refusal::NoSuchRoom));
            assert_eq!(rooms.join(RoomId(room), &name("a"), &name("x")), Err(Refusal::NoSuchRoom));
            assert_eq!(rooms.leave(RoomId(room), &name("a")), Err(Refusal::NoSuchRoom));
        }
        assert_eq!(rooms.post(RoomId(1), &name("x")), Err(Refusal::NotAMember));
        assert_eq!(rooms.join(RoomId(1), &name("x"), &name("y")), Err(Refusal::NotAMember));
        assert_eq!(rooms.join(RoomId(1), &name("a"), &name("a")), Err(Refusal::AlreadyAMember));
    }

    #[test]
    fn one_reads_what_was_said_while_one_was_a_member_by_room_and_number() {
        let mut rooms = Rooms::default();
        rooms.build(&name("a"), set(&["a", "b"])).unwrap();
        rooms.build(&name("a"), set(&["a", "c"])).unwrap();
        for room in [1, 2, 1, 1] {
            rooms.post(RoomId(room), &name("a")).unwrap();
        }
        rooms.join(RoomId(1), &name("a"), &name("c")).unwrap();
        rooms.post(RoomId(1), &name("a")).unwrap();
        rooms.leave(RoomId(1), &name("c")).unwrap();
        rooms.post(RoomId(1), &name("a")).unwrap();
        assert_eq!(all(&rooms, "a", None), [(1, 1, 5), (2, 1, 1)]);
        assert_eq!(all(&rooms, "c", None), [(1, 4, 4), (2, 1, 1)]);
        assert_eq!(all(&rooms, "a", Some((1, 3))), [(1, 4, 5), (2, 1, 1)]);
        assert_eq!(all(&rooms, "a", Some((2, 1))), []);
        assert_eq!(all(&rooms, "x", None), []);
    }

    #[test]
    fn a_later_namesake_of_a_removed_user_reads_nothing_and_is_in_no_room() {
        let mut rooms = Rooms::default();
        rooms.build(&name("a"), set(&["a", "b"])).unwrap();
        rooms.post(RoomId(1), &name("b")).unwrap();
        let left = rooms.remove_user(&name("b"));
        assert_eq!(left, [RoomInfo { room: RoomId(1), members: vec![name("a")] }]);
        assert_eq!((all(&rooms, "b", None), rooms.infos_of(&name("b")).count()), (vec![], 0));
        assert_eq!(rooms.post(RoomId(1), &name("b")), Err(Refusal::NotAMember));
    }

    #[test]
    fn limits_are_kept() {
        let mut rooms = Rooms::default();
        let many: Vec<String> = (0..MAX_ROOM_MEMBERS).map(|number| format!("user{number}")).collect();
        let mut members: BTreeSet<UserName> = many.iter().map(|text| name(text)).collect();
        rooms.build(&name("user0"), members.clone()).unwrap();
        let full = Refusal::LimitReached("members of a room".to_owned());
        assert_eq!(rooms.join(RoomId(1), &name("user0"), &name("a")), Err(full.clone()));
        members.insert(name("a"));
        assert_eq!(rooms.build(&name("a"), members), Err(NotBuilt::Refused(full)));
        for number in 1..=MAX_ROOMS_PER_USER {
            rooms.build(&name("a"), set(&["a", &format!("b{number}")])).unwrap();
        }
        let many = Refusal::LimitReached("rooms of one user".to_owned());
        assert_eq!(rooms.build(&name("x"), set(&["a", "x"])), Err(NotBuilt::Refused(many.clone())));
        rooms.build(&name("x"), set(&["x", "y"])).unwrap();
        let newest = RoomId(u32::try_from(rooms.rooms.len()).unwrap());
        assert_eq!(rooms.join(newest, &name("x"), &name("a")), Err(many));
    }

    #[test]
    fn coming_and_going_costs_no_memory() {
        let mut rooms = Rooms::default();
        for number in 1..=MAX_LEFT_ROOMS_PER_USER + 3 {
            let info = rooms.build(&name("a"), set(&["a", &format!("b{number}")])).unwrap();
            rooms.post(info.room, &name("a")).unwrap();
            rooms.leave(info.room, &name("a")).unwrap();
        }
        assert_eq!(rooms.readable[&name("a")].len(), MAX_LEFT_ROOMS_PER_USER);
        assert_eq!(all(&rooms, "a", None).first(), Some(&(4, 1, 1)), "the oldest rooms are forgotten");
    }

    #[derive(Clone, Debug)]
    enum Op {
        Build(usize, BTreeSet<usize>),
        Join(u32, usize, usize),
        Leave(u32, usize),
        Post(u32, usize),
        RemoveUser(usize),
    }

    const USERS: [&str; 4] = ["a", "b", "c", "d"];

    fn op() -> impl Strategy<Value = Op> {
        let (user, room) = (|| 0..USERS.len(), || 0..5u32);
        prop_oneof![
            2 => (user(), prop::collection::btree_set(user(), 0..4)).prop_map(|(by, mut members)| {
                members.insert(by);
                Op::Build(by, members)
            }),
            3 => (room(), user(), user()).prop_map(|(room, by, user)| Op::Join(room, by, user)),
            3 => (room(), user()).prop_map(|(room, user)| Op::Leave(room, user)),
            6 => (room(), user()).prop_map(|(room, user)| Op::Post(room, user)),
            1 => user().prop_map(Op::RemoveUser),
        ]
    }

    /// The members of each room, and which of its messages each heard, by number.
    #[derive(Default)]
    struct Model {
        rooms: Vec<BTreeSet<usize>>,
        lasts: Vec<u64>,
        heard: BTreeMap<usize, Vec<(u32, u64)>>,
    }

    impl Model {
        fn refusal(&self, room: u32, user: usize) -> Option<Refusal> {
            match room.checked_sub(1).and_then(|index| self.rooms.get(index as usize)) {
                None => Some(Refusal::NoSuchRoom),
                Some(members) => (!members.contains(&user)).then_some(Refusal::NotAMember),
            }
        }

        fn info(&self, room: usize) -> RoomInfo {
            let members = self.rooms[room].iter().map(|user| name(USERS[*user])).collect();
            RoomInfo { room: RoomId(room as u32 + 1), members }
        }
    }

    proptest! {
        #[test]
        fn they_are_a_list_of_members_and_of_what_each_heard(ops in prop::collection::vec(op(), 0..60)) {
            let (mut rooms, mut model) = (Rooms::default(), Model::default());
            for op in ops {
                match op {
                    Op::Build(by, members) => {
                        let names: BTreeSet<UserName> = members.iter().map(|user| name(USERS[*user])).collect();
                        let built = rooms.build(&name(USERS[by]), names);
                        let expected = match model.rooms.iter().position(|there| *there == members) {
                            Some(there) => Err(NotBuilt::Exists(model.info(there))),
                            None => {
                                model.rooms.push(members);
                                model.lasts.push(0);
                                Ok(model.info(model.rooms.len() - 1))
                            }
                        };
                        prop_assert_eq!(built, expected);
                    }
                    Op::Join(room, by, user) => {
                        let joined = rooms.join(RoomId(room), &name(USERS[by]), &name(USERS[user]));
                        let refusal = model.refusal(room, by);
                        let expected = refusal.map_or_else(|| {
                            let added = model.rooms[room as usize - 1].insert(user);
                            if added { Ok(model.info(room as usize - 1)) } else { Err(Refusal::AlreadyAMember) }
                        }, Err);
                        prop_assert_eq!(joined, expected);
                    }
                    Op::Leave(room, user) => {
                        let left = rooms.leave(RoomId(room), &name(USERS[user]));
                        let refusal = model.refusal(room, user);
                        let expected = refusal.map_or_else(|| {
                            model.rooms[room as usize - 1].remove(&user);
                            Ok(model.info(room as usize - 1))
                        }, Err);
                        prop_assert_eq!(left, expected);
                    }
                    Op::Post(room, user) => {
                        let posted = rooms.post(RoomId(room), &name(USERS[user]));
                        let refusal = model.refusal(room, user);
                        let expected = refusal.map_or_else(|| {
                            let last = &mut model.lasts[room as usize - 1];
                            *last += 1;
                            for member in &model.rooms[room as usize - 1] {
                                model.heard.entry(*member).or_default().push((room, *last));
                            }
                            Ok(MessageNumber(*last))
                        }, Err);
                        prop_assert_eq!(posted, expected);
                    }
                    Op::RemoveUser(user) => {
                        let left = rooms.remove_user(&name(USERS[user]));
                        let of_user = |room: &usize| model.rooms[*room].contains(&user);
                        let those: Vec<usize> = (0..model.rooms.len()).filter(of_user).collect();
                        for room in &those {
                            model.rooms[*room].remove(&user);
                        }
                        prop_assert_eq!(left, those.iter().map(|room| model.info(*room)).collect::<Vec<_>>());
                        model.heard.remove(&user);
                    }
                }
                for (number, user) in USERS.into_iter().enumerate() {
                    let mut heard = model.heard.get(&number).cloned().unwrap_or_default();
                    heard.sort_unstable();
                    let read = |(room, first, last)| (first..=last).map(move |number| (room, number));
                    prop_assert_eq!(all(&rooms, user, None).into_iter().flat_map(read).collect::<Vec<_>>(), heard);
                    let current = |room: &usize| model.rooms[*room].contains(&number);
                    let infos: Vec<RoomInfo> =
                        (0..model.rooms.len()).filter(current).map(|room| model.info(room)).collect();
                    prop_assert_eq!(rooms.infos_of(&name(user)).collect::<Vec<_>>(), infos);
                    for room in 0..model.rooms.len() {
                        let newest = current(&room).then(|| MessageNumber(model.lasts[room]));
                        let current_in = rooms.current_in(RoomId(room as u32 + 1), &name(user));
                        prop_assert_eq!(current_in.map(|(_, newest)| newest), newest);
                    }
                }
            }
        }
    }
}
