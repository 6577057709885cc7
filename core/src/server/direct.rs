//! Direct messages: how many there are between two people, and up to where each of them has been shown them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::MessageNumber;
use crate::machine::Usage;
use crate::name::UserName;
use crate::wire::limits::MAX_ACCOUNTS;
use crate::wire::message::Refusal;

/// Pairs of people who write to each other: three numbers and two names each, some hundred megabytes at most.
pub(super) const MAX_PAIRS: usize = 1_000_000;

/// All conversations of two people.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Direct {
    /// By the two names, the smaller one first.
    pairs: BTreeMap<(UserName, UserName), Pair>,
    /// By receiver: who has written something that the receiver has not been shown.
    unread: BTreeMap<UserName, BTreeSet<UserName>>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    /// The newest message's number.
    last: MessageNumber,
    /// The smaller name's place, then the larger name's.
    ends: [End; 2],
}

/// One person's place in a conversation of two.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// The newest message that this person wrote.
    wrote: MessageNumber,
    /// The newest message that this person was shown.
    received: MessageNumber,
}

impl Direct {
    /// A message: its number.
    pub(super) fn post(&mut self, from: &UserName, to: &UserName) -> Result<MessageNumber, Refusal> {
        let key = key(from, to);
        if !self.pairs.contains_key(&key) && self.pairs.len() >= MAX_PAIRS {
            return Err(Refusal::LimitReached("pairs of people who write to each other on this server".to_owned()));
        }
        let pair = self.pairs.entry(key).or_default();
        pair.last.0 += 1;
        pair.ends[side(from, to)].wrote = pair.last;
        self.unread.entry(to.clone()).or_default().insert(from.clone());
        Ok(pair.last)
    }

    /// `user` was shown what `peer` wrote up to `through`: whether that is news.
    pub(super) fn receive(&mut self, user: &UserName, peer: &UserName, through: MessageNumber) -> bool {
        let Some(pair) = self.pairs.get_mut(&key(user, peer)) else { return false };
        // A position beyond the newest message would hide the messages to come.
        let through = through.min(pair.last);
        let end = &mut pair.ends[side(user, peer)];
        if through <= end.received {
            return false;
        }
        end.received = through;
        if pair.ends[side(peer, user)].wrote <= through {
            self.mark_read(user, peer);
        }
        true
    }

    /// Whether [`receive`](Direct::receive) would say that it is news.
    pub(super) fn is_news(&self, user: &UserName, peer: &UserName, through: MessageNumber) -> bool {
        let Some(pair) = self.pairs.get(&key(user, peer)) else { return false };
        through.min(pair.last) > pair.ends[side(user, peer)].received
    }

    /// The newest message that `user` was shown in the conversation with `peer`.
    pub(super) fn received(&self, user: &UserName, peer: &UserName) -> MessageNumber {
        self.pairs.get(&key(user, peer)).map(|pair| pair.ends[side(user, peer)].received).unwrap_or_default()
    }

    /// The newest message that `from` wrote to `to`.
    pub(super) fn wrote(&self, from: &UserName, to: &UserName) -> MessageNumber {
        self.pairs.get(&key(from, to)).map(|pair| pair.ends[side(from, to)].wrote).unwrap_or_default()
    }

    /// Those who have written something that `user` has not been shown.
    pub(super) fn unread(&self, user: &UserName) -> impl Iterator<Item = &UserName> {
        self.unread.get(user).into_iter().flatten()
    }

    /// How many messages `user` has not been shown; at most, since only their numbers are known.
    pub(super) fn count_unread(&self, user: &UserName) -> u64 {
        let unread = self.unread(user).map(|peer| self.wrote(peer, user).0.saturating_sub(self.received(user, peer).0));
        unread.sum()
    }

    /// The account of `user` was removed: what it has not been shown, a later namesake will not be shown.
    pub(super) fn remove_user(&mut self, user: &UserName) {
        for peer in self.unread.remove(user).unwrap_or_default() {
            if let Some(pair) = self.pairs.get_mut(&key(user, &peer)) {
                pair.ends[side(user, &peer)].received = pair.last;
            }
        }
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("pairs of people who write to each other", self.pairs.len(), MAX_PAIRS));
        each(Usage::new("users with messages that they were not shown", self.unread.len(), MAX_ACCOUNTS));
    }

    /// How many each user has not been shown.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        let all = self.unread.values().map(BTreeSet::len).sum();
        each(Usage::new("conversations that one of their two people was not shown", all, 2 * MAX_PAIRS));
    }

    fn mark_read(&mut self, user: &UserName, peer: &UserName) {
        if let Some(peers) = self.unread.get_mut(user) {
            peers.remove(peer);
            if peers.is_empty() {
                self.unread.remove(user);
            }
        }
    }
}

fn key(a: &UserName, b: &UserName) -> (UserName, UserName) {
    if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}

/// Which of a pair's ends `user` is.
fn side(user: &UserName, peer: &UserName) -> usize {
    usize::from(user > peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::name;
    use proptest::prelude::*;

    fn number(result: Result<MessageNumber, Refusal>) -> u64 {
        result.unwrap().0
    }

    #[test]
    fn two_people_share_their_numbers_and_others_have_their_own() {
        let (a, b, c) = (name("a"), name("b"), name("c"));
        let mut direct = Direct::default();
        assert_eq!([(&a, &b), (&b, &a), (&a, &c), (&b, &c)].map(|(x, y)| number(direct.post(x, y))), [1, 2, 1, 1]);
        assert_eq!((direct.wrote(&a, &b), direct.wrote(&b, &a)), (MessageNumber(1), MessageNumber(2)));
    }

    #[test]
    fn a_position_never_goes_back_nor_beyond_the_newest_message() {
        let (a, b) = (name("a"), name("b"));
        let mut direct = Direct::default();
        assert!(!direct.receive(&b, &a, MessageNumber(9)), "they never wrote to each other");
        for _ in 0..3 {
            direct.post(&a, &b).unwrap();
        }
        assert!(direct.is_news(&b, &a, MessageNumber(2)) && direct.receive(&b, &a, MessageNumber(2)));
        assert!(!direct.is_news(&b, &a, MessageNumber(2)) && !direct.receive(&b, &a, MessageNumber(1)));
        assert_eq!(direct.unread(&b).collect::<Vec<_>>(), [&a]);
        assert!(direct.receive(&b, &a, MessageNumber(u64::MAX)));
        assert_eq!((direct.received(&b, &a), direct.unread(&b).count()), (MessageNumber(3), 0));
        direct.post(&a, &b).unwrap();
        assert_eq!(direct.unread(&b).count(), 1);
    }

    #[test]
    fn a_later_namesake_is_not_shown_what_was_meant_for_the_removed_user() {
        let (a, b) = (name("a"), name("b"));
        let mut direct = Direct::default();
        direct.post(&a, &b).unwrap();
        direct.post(&b, &a).unwrap();
        direct.remove_user(&b);
        assert_eq!((direct.unread(&b).count(), direct.unread(&a).count()), (0, 1));
        assert_eq!(number(direct.post(&a, &b)), 3);
        assert_eq!((direct.received(&b, &a), direct.unread(&b).count()), (MessageNumber(2), 1));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Post(&'static str, &'static str),
        Receive(&'static str, &'static str, u64),
        RemoveUser(&'static str),
    }

    const USERS: [&str; 3] = ["a", "b", "c"];

    fn two() -> impl Strategy<Value = (&'static str, &'static str)> {
        (0..3usize, 1..3usize).prop_map(|(one, step)| (USERS[one], USERS[(one + step) % 3]))
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => two().prop_map(|(from, to)| Op::Post(from, to)),
            4 => (two(), 0..12u64).prop_map(|((user, peer), through)| Op::Receive(user, peer, through)),
            1 => (0..3usize).prop_map(|user| Op::RemoveUser(USERS[user])),
        ]
    }

    /// Every message, and up to where each has been shown those of each other.
    #[derive(Default)]
    struct Model {
        posts: Vec<(&'static str, &'static str, u64)>,
        shown: BTreeMap<(&'static str, &'static str), u64>,
    }

    impl Model {
        fn last(&self, a: &str, b: &str) -> u64 {
            let of_both = self.posts.iter().filter(|(from, to, _)| (*from, *to) == (a, b) || (*from, *to) == (b, a));
            of_both.count() as u64
        }

        fn wrote(&self, from: &str, to: &str) -> u64 {
            self.posts.iter().rfind(|post| (post.0, post.1) == (from, to)).map_or(0, |post| post.2)
        }

        fn shown(&self, user: &'static str, peer: &'static str) -> u64 {
            self.shown.get(&(user, peer)).copied().unwrap_or(0)
        }

        fn unread(&self, user: &'static str) -> Vec<&'static str> {
            USERS.into_iter().filter(|peer| self.wrote(peer, user) > self.shown(user, peer)).collect()
        }
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_messages_and_positions(ops in prop::collection::vec(op(), 0..60)) {
            let (mut direct, mut model) = (Direct::default(), Model::default());
            for op in ops {
                match op {
                    Op::Post(from, to) => {
                        let next = model.last(from, to) + 1;
                        prop_assert_eq!(direct.post(&name(from), &name(to)), Ok(MessageNumber(next)));
                        model.posts.push((from, to, next));
                    }
                    Op::Receive(user, peer, through) => {
                        let position = through.min(model.last(user, peer));
                        let news = position > model.shown(user, peer);
                        let (user_name, peer_name) = (name(user), name(peer));
                        prop_assert_eq!(direct.is_news(&user_name, &peer_name, MessageNumber(through)), news);
                        prop_assert_eq!(direct.receive(&user_name, &peer_name, MessageNumber(through)), news);
                        if news {
                            model.shown.insert((user, peer), position);
                        }
                    }
                    Op::RemoveUser(user) => {
                        direct.remove_user(&name(user));
                        for peer in model.unread(user) {
                            model.shown.insert((user, peer), model.last(user, peer));
                        }
                    }
                }
                for user in USERS {
                    let unread: Vec<UserName> = model.unread(user).into_iter().map(name).collect();
                    prop_assert_eq!(direct.unread(&name(user)).cloned().collect::<Vec<_>>(), unread);
                    for peer in USERS.into_iter().filter(|peer| *peer != user) {
                        let (user_name, peer_name) = (name(user), name(peer));
                        prop_assert_eq!(direct.wrote(&user_name, &peer_name).0, model.wrote(user, peer));
                        prop_assert_eq!(direct.received(&user_name, &peer_name).0, model.shown(user, peer));
                    }
                }
                let readers = USERS.into_iter().filter(|user| !model.unread(user).is_empty()).count();
                prop_assert_eq!(direct.unread.len(), readers, "who has read everything is forgotten");
            }
        }
    }
}
