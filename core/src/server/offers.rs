//! Files offered by one user to another, until they are answered. Bytes never come here: the two exchange
//! where they are reached, and go on between themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::activity::Activity;
use super::fact::Fact;
use super::machine::Server;
use super::pending::{Asked, Proposal};
use super::timeouts::Timeouts;
use super::turn::Turn;
use crate::id::{OfferId, PeerIndex};
use crate::machine::Usage;
use crate::name::UserName;
use crate::secure::{PublicKey, SealedOffer};
use crate::time::Instant;
use crate::wire::limits::{MAX_CONNECTIONS, MAX_OFFERS_PER_USER, OFFER_LIFETIME};
use crate::wire::message::{Event, OfferEnd, Refusal, ReplyBody};

/// Offers of all users that have not been answered: an offer ends with its sender's session.
const MAX_OFFERS: usize = MAX_CONNECTIONS * MAX_OFFERS_PER_USER;

/// Ids that are taken from the log at a time: so few that they stay short after many restarts.
const NUMBERED_AT_ONCE: u64 = 100;

/// All offers that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Offers {
    open: BTreeMap<OfferId, Offer>,
    sent: BTreeMap<UserName, BTreeSet<OfferId>>,
    received: BTreeMap<UserName, BTreeSet<OfferId>>,
    timeouts: Timeouts<OfferId>,
    last: OfferId,
    /// Up to this one the log says that no later run of the server gives them again.
    numbered: OfferId,
}

#[derive(Debug)]
struct Offer {
    from: UserName,
    to: UserName,
}

/// What a sender says about a file.
#[derive(Debug)]
pub(super) struct Offered {
    /// For which it is sealed.
    pub(super) device: PublicKey,
    pub(super) index: PeerIndex,
    pub(super) sealed: SealedOffer,
}

impl Offers {
    /// When the next offer has waited too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timeouts.next()
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("offers", self.open.len(), MAX_OFFERS));
        each(Usage::new("users who offer files", self.sent.len(), MAX_CONNECTIONS));
        each(Usage::new("users who are offered files", self.received.len(), MAX_CONNECTIONS));
        each(self.timeouts.usage("timeouts of offers", MAX_OFFERS));
    }

    /// How many each user has.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        for sent in self.sent.values() {
            each(Usage::new("offers of one user", sent.len(), MAX_OFFERS_PER_USER));
        }
    }

    fn add(&mut self, now: Instant, from: &UserName, to: &UserName) -> Result<OfferId, Refusal> {
        let sent = self.sent.entry(from.clone()).or_default();
        if sent.len() >= MAX_OFFERS_PER_USER {
            return Err(Refusal::LimitReached("files offered by one user and not answered".to_owned()));
        }
        self.last.0 += 1;
        sent.insert(self.last);
        self.received.entry(to.clone()).or_default().insert(self.last);
        self.open.insert(self.last, Offer { from: from.clone(), to: to.clone() });
        self.timeouts.start(now + OFFER_LIFETIME, self.last);
        Ok(self.last)
    }

    fn remove(&mut self, id: OfferId) -> Option<Offer> {
        let offer = self.open.remove(&id)?;
        forget(&mut self.sent, &offer.from, id);
        forget(&mut self.received, &offer.to, id);
        self.timeouts.cancel(id);
        Some(offer)
    }

    fn of(&self, user: &UserName) -> Vec<OfferId> {
        let sent = self.sent.get(user).into_iter().flatten();
        let received = self.received.get(user).into_iter().flatten();
        sent.chain(received).copied().collect()
    }
}

fn forget(offers: &mut BTreeMap<UserName, BTreeSet<OfferId>>, user: &UserName, id: OfferId) {
    if let Some(ids) = offers.get_mut(user) {
        ids.remove(&id);
        if ids.is_empty() {
            offers.remove(user);
        }
    }
}

impl Server {
    pub(super) fn offer(
        &mut self,
        turn: &mut Turn<'_>,
        from: &UserName,
        to: &str,
        file: Offered,
    ) -> Result<ReplyBody, Refusal> {
        let to = self.find_user(to)?;
        if to == *from {
            return Err(Refusal::Oneself);
        }
        // Who is not connected at the moment cannot be asked.
        let receiver = self.sessions.get(&to).and_then(|it| Some((it.connection?, it.device)));
        let Some((receiver, receiving)) = receiver else {
            return Err(Refusal::UserOffline(vec![to]));
        };
        if receiving != file.device {
            return Err(Refusal::DeviceChanged);
        }
        let Some((address, device)) = self.sessions.get(from).map(|it| (it.udp_address(), it.device)) else {
            return Err(Refusal::OutOfOrder);
        };
        let offer = self.offers.add(turn.now, from, &to)?;
        let Offered { index, sealed, .. } = file;
        let keys = self.devices_of(from);
        let event = Event::Offer { offer, from: from.clone(), device, keys, address, index, sealed };
        turn.event(vec![receiver], event);
        turn.activity(Activity::Offered { offer, user: from.clone(), to });
        Ok(ReplyBody::Offered { offer })
    }

    /// What the log must have before the next offer, so that its id is one that no transfer of an earlier run has, nor
    /// one of a later run.
    pub(super) fn numbering(&self) -> Option<Fact> {
        // A client whose session ends with its connection ends its transfers, too.
        let none_left = !self.settings.grace.is_zero() && self.offers.last >= self.offers.numbered;
        let through = OfferId(self.conference.offers.0 + NUMBERED_AT_ONCE);
        none_left.then_some(Fact::OffersNumbered { through })
    }

    /// The log has taken these ids.
    pub(super) fn apply_numbering(&mut self, turn: &Turn<'_>, through: OfferId) {
        let before = self.conference.offers;
        self.conference.offers = before.max(through);
        let offers = &mut self.offers;
        // Those of an earlier run are not given again.
        if !turn.recovering && offers.last >= offers.numbered {
            (offers.last, offers.numbered) = (before, self.conference.offers);
        }
    }

    /// An offer waited for its id.
    pub(super) fn offer_numbered(&mut self, turn: &mut Turn<'_>, asked: Asked, to: String, file: Offered) {
        if let Some(fact) = self.numbering() {
            // Others who waited have taken them all.
            return self.propose(turn, Proposal::Offer { asked, to, file }, fact);
        }
        if self.is_open(asked.connection) {
            match self.offer(turn, &asked.user, &to, file) {
                Ok(body) => self.answer(turn, &asked, body),
                Err(refusal) => self.refuse(turn, &asked, refusal),
            }
        }
        self.answered(turn, asked.connection);
    }

    pub(super) fn answer_offer(
        &mut self,
        turn: &mut Turn<'_>,
        user: &UserName,
        offer: OfferId,
        index: Option<PeerIndex>,
    ) -> Result<ReplyBody, Refusal> {
        let from = match self.offers.open.get(&offer) {
            Some(it) if it.to == *user => it.from.clone(),
            _ => return Err(Refusal::NoSuchOffer),
        };
        let Some(index) = index else {
            self.end_offer(turn, offer, OfferEnd::Rejected, &[&from]);
            return Ok(ReplyBody::Done);
        };
        let Some((address, device)) = self.sessions.get(user).map(|it| (it.udp_address(), it.device)) else {
            return Err(Refusal::OutOfOrder);
        };
        self.offers.remove(offer);
        let sender = self.sessions.get(&from).and_then(|it| it.connection);
        turn.event(sender.into_iter().collect(), Event::OfferAccepted { offer, address, index, device });
        turn.activity(Activity::OfferAccepted { offer, user: user.clone() });
        Ok(ReplyBody::Done)
    }

    pub(super) fn withdraw_offer(
        &mut self,
        turn: &mut Turn<'_>,
        user: &UserName,
        offer: OfferId,
    ) -> Result<ReplyBody, Refusal> {
        let to = match self.offers.open.get(&offer) {
            Some(it) if it.from == *user => it.to.clone(),
            _ => return Err(Refusal::NoSuchOffer),
        };
        self.end_offer(turn, offer, OfferEnd::Withdrawn, &[&to]);
        Ok(ReplyBody::Done)
    }

    /// A user is not active any more.
    pub(super) fn end_offers_of(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        for id in self.offers.of(user) {
            let Some(offer) = self.offers.open.get(&id) else { continue };
            let other = if offer.from == *user { offer.to.clone() } else { offer.from.clone() };
            self.end_offer(turn, id, OfferEnd::UserLeft, &[&other]);
        }
    }

    /// One offer that nobody answered in time ends; whether there was one.
    pub(super) fn expire_offer(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(id) = self.offers.timeouts.expire(turn.now) else { return false };
        if let Some(offer) = self.offers.open.get(&id) {
            let (from, to) = (offer.from.clone(), offer.to.clone());
            self.end_offer(turn, id, OfferEnd::Expired, &[&from, &to]);
        }
        true
    }

    fn end_offer(&mut self, turn: &mut Turn<'_>, offer: OfferId, reason: OfferEnd, tell: &[&UserName]) {
        self.offers.remove(offer);
        let tell = tell.iter().filter_map(|user| self.sessions.get(*user)?.connection).collect();
        turn.event(tell, Event::OfferEnded { offer, reason });
        turn.activity(Activity::OfferEnded { offer, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::id::ConnectionId;
    use crate::wire::message::RequestBody;
    use core::time::Duration;
    use proptest::prelude::*;

    fn sealed() -> SealedOffer {
        SealedOffer::new(vec![9; 300]).unwrap()
    }

    /// To somebody on the device of this connection.
    fn offer_on(to: &str, connection: u64) -> RequestBody {
        let device = device(ConnectionId(connection));
        RequestBody::Offer { to: text(to), device, index: PeerIndex(7), sealed: sealed() }
    }

    fn offer(to: &str) -> RequestBody {
        offer_on(to, if to == "b" { 2 } else { 3 })
    }

    fn ended(offer: u64, reason: OfferEnd) -> Event {
        Event::OfferEnded { offer: OfferId(offer), reason }
    }

    fn answer(offer: u64, index: Option<u32>) -> RequestBody {
        RequestBody::AnswerOffer { offer: OfferId(offer), index: index.map(PeerIndex) }
    }

    fn withdraw(offer: u64) -> RequestBody {
        RequestBody::WithdrawOffer { offer: OfferId(offer) }
    }

    const NO_SUCH: ReplyBody = ReplyBody::Refused(Refusal::NoSuchOffer);

    /// A has offered file 1 to B; C is active.
    fn world() -> (World, [ConnectionId; 3]) {
        let mut world = World::new(&["a", "b", "c"]);
        let a = world.connect_from("[::ffff:198.51.100.1]:1");
        world.try_login(a, "a", &password_of("a"));
        let [b, c] = world.login_all(["b", "c"]);
        assert_eq!(world.ask(a, offer("b")), ReplyBody::Offered { offer: OfferId(1) });
        (world, [a, b, c])
    }

    #[test]
    fn an_offer_tells_each_side_where_the_other_is_reached() {
        let (mut world, [a, b, c]) = world();
        let address = "198.51.100.1:6000".parse().unwrap();
        let from = name("a");
        let offered = Event::Offer {
            offer: OfferId(1),
            from,
            device: device(a),
            keys: vec![device(a)],
            address,
            index: PeerIndex(7),
            sealed: sealed(),
        };
        assert_eq!(world.events(b), [offered]);
        assert_eq!(world.ask(b, answer(1, Some(8))), ReplyBody::Done);
        let address = "192.0.2.1:6000".parse().unwrap();
        let accepted = Event::OfferAccepted { offer: OfferId(1), address, index: PeerIndex(8), device: device(b) };
        assert_eq!(world.events(a), [accepted]);
        assert_eq!(world.inbox(c), []);
        let made = Activity::Offered { offer: OfferId(1), user: name("a"), to: name("b") };
        let accepted = Activity::OfferAccepted { offer: OfferId(1), user: name("b") };
        assert_eq!(world.activities, [made, accepted]);
        assert_eq!(world.ask(b, answer(1, Some(8))), NO_SUCH, "only once");
        assert_eq!(world.ask(a, offer("b")), ReplyBody::Offered { offer: OfferId(2) });
    }

    #[test]
    fn an_offer_for_another_device_than_the_receiver_s_is_refused_and_shown_to_nobody() {
        let (mut world, [a, b, c]) = world();
        world.forget();
        assert_eq!(world.ask(a, offer_on("b", 9)), ReplyBody::Refused(Refusal::DeviceChanged));
        assert_eq!((world.inbox(b), world.inbox(c)), (vec![], vec![]));
        world.disconnect(b);
        let b = world.login("b");
        assert_eq!(world.ask(a, offer("b")), ReplyBody::Refused(Refusal::DeviceChanged));
        assert!(matches!(world.ask(a, offer_on("b", b.0)), ReplyBody::Offered { .. }));
    }

    #[test]
    fn only_its_receiver_answers_an_offer_and_only_its_sender_takes_it_back() {
        let (mut world, [a, b, c]) = world();
        for (who, body) in
            [(a, answer(1, Some(1))), (c, answer(1, None)), (b, withdraw(1)), (c, withdraw(1)), (a, withdraw(2))]
        {
            assert_eq!(world.ask(who, body), NO_SUCH);
        }
        world.forget();
        assert_eq!(world.ask(a, withdraw(1)), ReplyBody::Done);
        assert_eq!((world.events(b), world.inbox(a)), (vec![ended(1, OfferEnd::Withdrawn)], vec![]));
        assert_eq!(world.ask(b, answer(1, None)), NO_SUCH);
    }

    #[test]
    fn a_refused_offer_is_told_to_its_sender() {
        let (mut world, [a, b, _]) = world();
        world.forget();
        assert_eq!(world.ask(b, answer(1, None)), ReplyBody::Done);
        assert_eq!((world.events(a), world.inbox(b)), (vec![ended(1, OfferEnd::Rejected)], vec![]));
        let told = Activity::OfferEnded { offer: OfferId(1), reason: OfferEnd::Rejected };
        assert_eq!(world.activities, [told]);
    }

    #[test]
    fn an_offer_ends_with_the_session_of_either_side() {
        for leaver in 0..2 {
            let (mut world, connections) = world();
            world.forget();
            world.disconnect(connections[leaver]);
            let left = Event::Left { user: name(["a", "b"][leaver]) };
            assert_eq!(world.events(connections[1 - leaver]), [ended(1, OfferEnd::UserLeft), left]);
            assert!(world.server.offers.open.is_empty() && world.server.offers.deadline().is_none());
            assert!(world.server.offers.sent.is_empty() && world.server.offers.received.is_empty());
        }
    }

    #[test]
    fn an_offer_that_nobody_answers_expires_for_both() {
        let (mut world, [a, b, c]) = world();
        world.advance(Duration::from_secs(1));
        world.ask(c, offer("b"));
        world.forget();
        world.advance(OFFER_LIFETIME - Duration::from_nanos(1_000_000_001));
        assert_eq!(world.inbox(a), []);
        world.advance(Duration::from_nanos(1));
        let expired = ended(1, OfferEnd::Expired);
        assert_eq!((world.events(a), world.events(b)), (vec![expired.clone()], vec![expired]));
        assert_eq!(world.inbox(c), []);
        world.advance(Duration::from_secs(1));
        assert_eq!(world.events(c), [ended(2, OfferEnd::Expired)]);
    }

    #[test]
    fn unanswered_offers_of_one_user_are_bounded_and_an_answer_makes_room() {
        let (mut world, [a, b, c]) = world();
        for _ in 1..MAX_OFFERS_PER_USER {
            world.ask(a, offer("c"));
        }
        assert!(matches!(world.ask(a, offer("b")), ReplyBody::Refused(Refusal::LimitReached(_))));
        assert!(matches!(world.ask(c, offer("b")), ReplyBody::Offered { .. }), "others may");
        world.ask(b, answer(1, None));
        assert!(matches!(world.ask(a, offer("b")), ReplyBody::Offered { .. }));
    }

    #[test]
    fn a_removed_account_ends_its_offers() {
        let (mut world, [a, ..]) = world();
        world.forget();
        world.commit(Fact::AccountRemoved { name: name("b") });
        assert_eq!(world.events(a), [ended(1, OfferEnd::UserLeft), Event::Left { user: name("b") }]);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Add(&'static str, &'static str),
        /// One of those that are open.
        Remove(prop::sample::Index),
        /// Time passes, and what has waited too long ends.
        Wait(Duration),
    }

    fn user() -> impl Strategy<Value = &'static str> {
        prop::sample::select(&["a", "b", "c", "d"][..])
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (user(), user()).prop_map(|(from, to)| Op::Add(from, to)),
            2 => any::<prop::sample::Index>().prop_map(Op::Remove),
            1 => (0..700u64).prop_map(|seconds| Op::Wait(Duration::from_secs(seconds))),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_offers(ops in prop::collection::vec(op(), 0..200), full in any::<bool>()) {
            let mut offers = Offers::default();
            // The first user may be about to reach the limit.
            let first = if full { MAX_OFFERS_PER_USER - 3 } else { 0 };
            // By id: from whom, to whom, and when it ends.
            let mut model: Vec<(u64, &str, &str, Instant)> = Vec::new();
            let (mut last, mut now) = (0, Instant::ZERO);
            let ops = std::iter::repeat_n(Op::Add("a", "b"), first).chain(ops);
            for op in ops {
                match op {
                    Op::Add(from, to) => {
                        let added = offers.add(now, &name(from), &name(to));
                        if model.iter().filter(|(_, by, ..)| *by == from).count() < MAX_OFFERS_PER_USER {
                            last += 1;
                            prop_assert_eq!(added, Ok(OfferId(last)));
                            model.push((last, from, to, now + OFFER_LIFETIME));
                        } else {
                            prop_assert!(matches!(added, Err(Refusal::LimitReached(_))));
                        }
                    }
                    Op::Remove(_) if model.is_empty() => prop_assert!(offers.remove(OfferId(last + 1)).is_none()),
                    Op::Remove(which) => {
                        let (id, from, to, _) = model.remove(which.index(model.len()));
                        let ends = offers.remove(OfferId(id)).map(|it| (it.from, it.to));
                        prop_assert_eq!(ends, Some((name(from), name(to))));
                        prop_assert!(offers.remove(OfferId(id)).is_none(), "only once");
                    }
                    Op::Wait(time) => {
                        now = now + time;
                        while let Some(id) = offers.timeouts.expire(now) {
                            prop_assert!(offers.remove(id).is_some());
                        }
                        model.retain(|(.., ends)| *ends > now);
                    }
                }
                prop_assert_eq!(offers.open.len(), model.len());
                prop_assert_eq!(offers.deadline(), model.first().map(|(.., ends)| *ends));
                for user in ["a", "b", "c", "d"] {
                    let sent = model.iter().filter(|(_, from, ..)| *from == user);
                    let received = model.iter().filter(|(_, _, to, _)| *to == user);
                    let all: Vec<OfferId> = sent.chain(received).map(|(id, ..)| OfferId(*id)).collect();
                    prop_assert_eq!(offers.of(&name(user)), all);
                }
                let senders: BTreeSet<&str> = model.iter().map(|(_, from, ..)| *from).collect();
                let receivers: BTreeSet<&str> = model.iter().map(|(_, _, to, _)| *to).collect();
                let expected = (senders.len(), receivers.len());
                prop_assert_eq!((offers.sent.len(), offers.received.len()), expected, "who has none is forgotten");
            }
        }
    }
}
