//! Direct messages: each is shown once in a session, and the server is told how far they were shown, so that
//! it need not deliver them again.

use std::collections::BTreeMap;

use crate::id::MessageNumber;
use crate::machine::Usage;
use crate::name::UserName;
use crate::time::Timestamp;

/// People whose last message is remembered. Beyond, one is forgotten, so that a message of theirs that the
/// server repeats would be shown twice.
const MAX_PEERS: usize = 65_536;

/// What was shown, and what was told.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    peers: BTreeMap<UserName, Peer>,
}

#[derive(Debug, Default)]
struct Peer {
    /// The newest number shown.
    shown: MessageNumber,
    /// Its time.
    shown_at: Timestamp,
    /// What the last receipt said.
    told: MessageNumber,
    /// Whether that receipt has no reply yet.
    in_flight: bool,
}

impl Receipts {
    /// A message arrived; whether it is to be shown.
    ///
    /// One that was shown may come again. A server that was restored from a backup gives numbers again, and then
    /// another message has one of them: its time tells, for times rise with the numbers.
    pub(super) fn arrived(&mut self, from: &UserName, number: MessageNumber, at: Timestamp) -> bool {
        if !self.peers.contains_key(from) && self.peers.len() >= MAX_PEERS {
            self.peers.pop_first();
        }
        let peer = self.peers.entry(from.clone()).or_default();
        let went_back = number <= peer.shown && at > peer.shown_at;
        let new = number > peer.shown || went_back;
        if new {
            (peer.shown, peer.shown_at) = (number, at);
        }
        if went_back {
            // What is on its way speaks of other messages.
            (peer.told, peer.in_flight) = (MessageNumber(number.0.saturating_sub(1)), false);
        }
        new
    }

    /// How many people are remembered.
    pub(super) fn usage(&self) -> Usage {
        Usage::new("people whose messages were shown", self.peers.len(), MAX_PEERS)
    }

    /// The receipt to be sent to this person now, if any.
    pub(super) fn due(&self, from: &UserName) -> Option<MessageNumber> {
        let peer = self.peers.get(from)?;
        (!peer.in_flight && peer.shown > peer.told).then_some(peer.shown)
    }

    /// What was shown and not told, though an earlier receipt may be on its way.
    pub(super) fn untold(&self) -> Vec<(UserName, MessageNumber)> {
        let untold = self.peers.iter().filter(|(_, peer)| peer.shown > peer.told);
        untold.map(|(name, peer)| (name.clone(), peer.shown)).collect()
    }

    /// That receipt is on its way.
    pub(super) fn told(&mut self, from: &UserName, through: MessageNumber) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.told = through;
            peer.in_flight = true;
        }
    }

    /// That receipt has its reply.
    pub(super) fn answered(&mut self, from: &UserName, through: MessageNumber) {
        if let Some(peer) = self.peers.get_mut(from)
            && peer.told == through
        {
            peer.in_flight = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn receipts_are_coalesced_and_duplicates_dropped() {
        let (mut receipts, yoda) = (Receipts::default(), UserName::new("yoda").unwrap());
        let [one, two, five] = [1, 2, 5].map(MessageNumber);
        let at = Timestamp::default();
        assert!(receipts.arrived(&yoda, one, at));
        assert_eq!(receipts.due(&yoda), Some(one));
        receipts.told(&yoda, one);
        assert!(receipts.arrived(&yoda, two, at) && receipts.arrived(&yoda, five, at));
        assert!(!receipts.arrived(&yoda, two, at) && !receipts.arrived(&yoda, five, at));
        assert_eq!(receipts.due(&yoda), None, "one at a time");
        receipts.answered(&yoda, one);
        assert_eq!(receipts.due(&yoda), Some(five), "the newest wins");
        receipts.told(&yoda, five);
        receipts.answered(&yoda, five);
        assert_eq!(receipts.due(&yoda), None);
    }

    #[test]
    fn after_a_server_went_back_numbers_that_were_shown_are_other_messages() {
        let (mut receipts, yoda) = (Receipts::default(), UserName::new("yoda").unwrap());
        let mut arrived = |number, at| receipts.arrived(&yoda, MessageNumber(number), Timestamp::from_millis(at));
        assert!(arrived(5, 10));
        assert!(!arrived(4, 9) && !arrived(5, 10));
        assert!(arrived(2, 20), "another one");
        assert!(!arrived(2, 20), "which comes again");
        assert!(arrived(3, 21) && arrived(4, 21));
        assert_eq!(receipts.due(&yoda), Some(MessageNumber(4)));
        receipts.told(&yoda, MessageNumber(4));
        receipts.answered(&yoda, MessageNumber(4));
        assert!(receipts.arrived(&yoda, MessageNumber(1), Timestamp::from_millis(30)));
        assert_eq!(receipts.due(&yoda), Some(MessageNumber(1)), "it is told again");
    }

    #[test]
    fn the_number_of_people_remembered_is_bounded() {
        let mut receipts = Receipts::default();
        for n in 0..MAX_PEERS + 10 {
            let user = UserName::new(&format!("user{n}")).unwrap();
            assert!(receipts.arrived(&user, MessageNumber(1), Timestamp::default()));
        }
        assert_eq!(receipts.peers.len(), MAX_PEERS);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Arrive(u64),
        Tell,
        Answer,
    }

    fn op() -> impl Strategy<Value = (usize, Op)> {
        let op = prop_oneof![4 => (1u64..20).prop_map(Op::Arrive), 2 => Just(Op::Tell), 2 => Just(Op::Answer)];
        (0usize..2, op)
    }

    proptest! {
        /// The model has for each person the newest number shown and those told; each number is shown at most
        /// once, and in the end all that was shown has been told.
        #[test]
        fn what_was_shown_is_told_in_the_end(ops in prop::collection::vec(op(), 0..80)) {
            let names = ["yoda", "luke"].map(|name| UserName::new(name).unwrap());
            let mut receipts = Receipts::default();
            let (mut shown, mut told, mut in_flight) = ([0; 2], [0; 2], [false; 2]);
            for (who, op) in ops {
                let name = &names[who];
                let due = (shown[who] > told[who] && !in_flight[who]).then_some(MessageNumber(shown[who]));
                prop_assert_eq!(receipts.due(name), due);
                match op {
                    Op::Arrive(number) => {
                        prop_assert_eq!(receipts.arrived(name, MessageNumber(number), Timestamp::default()), number > shown[who]);
                        shown[who] = shown[who].max(number);
                    }
                    Op::Tell => if let Some(through) = due {
                        receipts.told(name, through);
                        (told[who], in_flight[who]) = (through.0, true);
                    },
                    Op::Answer => {
                        receipts.answered(name, MessageNumber(told[who]));
                        in_flight[who] = false;
                    }
                }
                let untold: Vec<_> = [1, 0].into_iter().filter(|who| shown[*who] > told[*who]).collect();
                let untold: Vec<_> = untold.into_iter().map(|who| (names[who].clone(), MessageNumber(shown[who]))).collect();
                prop_assert_eq!(receipts.untold(), untold);
            }
        }
    }
}
