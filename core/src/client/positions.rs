//! Up to where this client has seen what was said, conversation by conversation: where a resumed session goes on.

use std::collections::BTreeMap;

use crate::id::{MessageNumber, RoomId};
use crate::machine::Usage;
use crate::wire::limits::MAX_ROOMS_PER_USER;
use crate::wire::message as wire;

/// The newest message of each conversation, one's own included. They never go back.
#[derive(Debug, Default)]
pub(super) struct Positions {
    broadcasts: MessageNumber,
    /// Of the rooms one is in; at most `MAX_ROOMS_PER_USER`.
    rooms: BTreeMap<RoomId, MessageNumber>,
    /// Of rooms one has left, at most as many: who comes back has seen these messages already.
    left: BTreeMap<RoomId, MessageNumber>,
}

impl Positions {
    /// The session was granted, with where everything stands.
    pub(super) fn granted(&mut self, granted: wire::Positions) {
        self.see(None, granted.broadcasts);
        let known = core::mem::take(&mut self.rooms);
        for (room, number) in granted.rooms.into_iter().take(MAX_ROOMS_PER_USER) {
            let seen = known.get(&room).copied().unwrap_or_default();
            self.rooms.insert(room, number.max(seen));
        }
    }

    /// A message is there, one's own or somebody's; whether it is newer than all that were seen.
    pub(super) fn see(&mut self, room: Option<RoomId>, number: MessageNumber) -> bool {
        let Some(room) = room else {
            let new = number > self.broadcasts;
            self.broadcasts = self.broadcasts.max(number);
            return new;
        };
        self.enter(room);
        // Without a place for one room too many, it is shown, and maybe again.
        let Some(seen) = self.rooms.get_mut(&room) else { return true };
        let new = number > *seen;
        *seen = number.max(*seen);
        new
    }

    /// One is in this room.
    pub(super) fn enter(&mut self, room: RoomId) {
        if !self.rooms.contains_key(&room) && self.rooms.len() < MAX_ROOMS_PER_USER {
            let number = self.left.remove(&room).unwrap_or_default();
            self.rooms.insert(room, number);
        }
    }

    /// One is not in this room any more.
    pub(super) fn leave(&mut self, room: RoomId) {
        let Some(number) = self.rooms.remove(&room) else { return };
        if self.left.len() >= MAX_ROOMS_PER_USER {
            self.left.pop_first();
        }
        self.left.insert(room, number);
    }

    /// As the server is told them.
    pub(super) fn told(&self) -> wire::Positions {
        let rooms = self.rooms.iter().map(|(room, number)| (*room, *number)).collect();
        wire::Positions { broadcasts: self.broadcasts, rooms }
    }

    /// How many rooms there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("rooms with a position", self.rooms.len(), MAX_ROOMS_PER_USER));
        each(Usage::new("rooms that were left, with a position", self.left.len(), MAX_ROOMS_PER_USER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(number: u64) -> MessageNumber {
        MessageNumber(number)
    }

    fn told(broadcasts: u64, rooms: &[(u32, u64)]) -> wire::Positions {
        let rooms = rooms.iter().map(|(room, seen)| (RoomId(*room), number(*seen))).collect();
        wire::Positions { broadcasts: number(broadcasts), rooms }
    }

    #[test]
    fn what_is_granted_names_the_rooms_and_takes_nothing_back() {
        let mut positions = Positions::default();
        assert!(positions.see(None, number(9)) && positions.see(Some(RoomId(1)), number(5)));
        positions.enter(RoomId(7));
        positions.granted(told(3, &[(1, 4), (2, 8)]));
        assert_eq!(positions.told(), told(9, &[(1, 5), (2, 8)]));
    }

    #[test]
    fn who_comes_back_to_a_room_goes_on_where_they_left() {
        let mut positions = Positions::default();
        positions.see(Some(RoomId(1)), number(5));
        positions.leave(RoomId(1));
        assert_eq!(positions.told(), told(0, &[]));
        positions.enter(RoomId(1));
        assert_eq!(positions.told(), told(0, &[(1, 5)]));
        assert!(!positions.see(Some(RoomId(1)), number(5)));
        assert!(positions.see(Some(RoomId(1)), number(6)));
    }

    #[test]
    fn rooms_are_bounded() {
        let mut positions = Positions::default();
        let rooms = || (0..2 * MAX_ROOMS_PER_USER as u32).map(RoomId);
        rooms().for_each(|room| assert!(positions.see(Some(room), number(1))));
        assert_eq!(positions.rooms.len(), MAX_ROOMS_PER_USER);
        for room in rooms() {
            positions.enter(room);
            positions.leave(room);
        }
        positions.usage(&mut |usage| assert!(usage.used <= usage.limit, "{usage:?}"));
        assert_eq!((positions.rooms.len(), positions.left.len()), (0, MAX_ROOMS_PER_USER));
    }

    proptest! {
        /// The model has all numbers that were seen in each conversation.
        #[test]
        fn they_are_the_newest_that_was_seen(seen in prop::collection::vec((prop::option::of(0u32..3), 0u64..20), 0..60)) {
            let (mut positions, mut model) = (Positions::default(), BTreeMap::<Option<u32>, u64>::new());
            for (room, seen) in seen {
                let newest = model.entry(room).or_default();
                prop_assert_eq!(positions.see(room.map(RoomId), number(seen)), seen > *newest);
                *newest = seen.max(*newest);
            }
            let rooms: Vec<_> = model.iter().filter_map(|(room, seen)| room.map(|room| (room, *seen))).collect();
            prop_assert_eq!(positions.told(), told(model.get(&None).copied().unwrap_or_default(), &rooms));
        }
    }
}
