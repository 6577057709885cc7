//! Answers in the order of their commands.
//!
//! A post is answered once it is committed, but a refusal may be known sooner, and some are known here. Without an id in the answers, people and scripts tell them apart by their order; so an
//! answer waits until those before it are there.

use std::collections::VecDeque;

use super::event::Event;
use super::io::Output;
use super::requests::MAX_COMMANDS_IN_FLIGHT;
use crate::machine::Usage;

/// A place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u64);

/// The answers that are not there yet, or wait for one before them.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The place of the first slot.
    first: u64,
    slots: VecDeque<Option<Event>>,
}

impl Answers {
    /// How many places are taken.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether an answer is not there yet.
    pub(super) fn is_waiting(&self) -> bool {
        // The first one is shown as soon as it is there.
        !self.slots.is_empty()
    }

    /// How many places are taken.
    pub(super) fn usage(&self) -> Usage {
        Usage::new("answers to changes", self.slots.len(), MAX_COMMANDS_IN_FLIGHT)
    }

    /// The next place.
    pub(super) fn reserve(&mut self) -> Place {
        self.slots.push_back(None);
        Place(self.first + self.slots.len() as u64 - 1)
    }

    /// Gives the answer of a place, and shows all that are not waiting any more.
    pub(super) fn fill(&mut self, place: Place, event: Event, out: &mut Vec<Output>) {
        let index = place.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            *slot = Some(event);
        }
        while let Some(Some(_)) = self.slots.front() {
            self.first += 1;
            out.extend(self.slots.pop_front().flatten().map(Output::Event));
        }
    }

    /// Shows all, with `missing` where an answer never came.
    pub(super) fn end(&mut self, missing: &Event, out: &mut Vec<Output>) {
        self.first += self.slots.len() as u64;
        out.extend(self.slots.drain(..).map(|event| Output::Event(event.unwrap_or_else(|| missing.clone()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;
    use proptest::prelude::*;

    fn left(room: u32) -> Event {
        Event::LeftRoom { room: RoomId(room) }
    }

    #[test]
    fn an_answer_waits_for_those_before_it() {
        let (mut answers, mut out) = (Answers::default(), Vec::new());
        let [a, b, c] = [answers.reserve(), answers.reserve(), answers.reserve()];
        answers.fill(b, left(2), &mut out);
        assert_eq!(out, []);
        answers.fill(a, left(1), &mut out);
        assert_eq!(out, [Output::Event(left(1)), Output::Event(left(2))]);
        answers.fill(c, left(3), &mut out);
        assert_eq!(out.len(), 3);
        assert_eq!(answers.len(), 0);
    }

    #[test]
    fn at_the_end_every_place_is_answered_once() {
        let (mut answers, mut out) = (Answers::default(), Vec::new());
        let [_a, b] = [answers.reserve(), answers.reserve()];
        answers.fill(b, left(2), &mut out);
        answers.end(&left(9), &mut out);
        assert_eq!(out, [Output::Event(left(9)), Output::Event(left(2))]);
        // A place from before the end means nothing after it.
        let c = answers.reserve();
        answers.fill(b, left(7), &mut out);
        assert_eq!(out.len(), 2);
        answers.fill(c, left(3), &mut out);
        assert_eq!(out[2], Output::Event(left(3)));
    }

    proptest! {
        /// Whatever order answers come in, they are shown in the order of their places, each as soon as all
        /// before it are there.
        #[test]
        fn they_are_shown_in_the_order_of_their_places(order in prop::collection::vec(any::<prop::sample::Index>(), 0..60), end: bool) {
            let (mut answers, mut out) = (Answers::default(), Vec::new());
            let mut places: Vec<(u32, Place)> = (0..order.len() as u32).map(|room| (room, answers.reserve())).collect();
            let mut filled = vec![false; places.len()];
            for which in order.iter().skip(usize::from(end)) {
                let (room, place) = places.swap_remove(which.index(places.len()));
                answers.fill(place, left(room), &mut out);
                filled[room as usize] = true;
                let shown = filled.iter().take_while(|filled| **filled).count();
                prop_assert_eq!((out.len(), answers.len()), (shown, filled.len() - shown));
            }
            answers.end(&left(1_000), &mut out);
            let expected = (0..).zip(&filled).map(|(room, filled)| left(if *filled { room } else { 1_000 }));
            prop_assert_eq!(out, expected.map(Output::Event).collect::<Vec<_>>());
        }
    }
}
