//! Files offered by one user to another, until they are answered. Bytes never come here: the two exchange
//! where they are reached, and go on between themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::activity::Activity;
use super::machine::Server;
use super::timeouts::Timeouts;
use super::turn::Turn;
use crate::id::{OfferId, PeerIndex};
use crate::name::UserName;
use crate::text::FileLabel;
use crate::time::Instant;
use crate::wire::limits::{MAX_OFFERS_PER_USER, OFFER_LIFETIME};
use crate::wire::message::{Event, OfferEnd, PeerEndpoint, Refusal, ReplyBody};

/// All offers that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Offers {
    open: BTreeMap<OfferId, Offer>,
    sent: BTreeMap<UserName, BTreeSet<OfferId>>,
    received: BTreeMap<UserName, BTreeSet<OfferId>>,
    timeouts: Timeouts<OfferId>,
    last: OfferId,
}

#[derive(Debug)]
struct Offer {
    from: UserName,
    to: UserName,
}

/// What a sender says about a file.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) label: FileLabel,
    pub(super) bytes: u64,
    pub(super) endpoint: PeerEndpoint,
}

impl Offers {
    /// When the next offer has waited too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timeouts.next()
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
        let Some(receiver) = self.sessions.get(&to).map(|it| it.connection) else {
            return Err(Refusal::UserOffline(vec![to]));
        };
        let Some(address) = self.sessions.get(from).map(|it| it.udp_address()) else {
            return Err(Refusal::OutOfOrder);
        };
        let offer = self.offers.add(turn.now, from, &to)?;
        let Offered { label, bytes, endpoint } = file;
        let event = Event::Offer { offer, from: from.clone(), label: label.clone(), bytes, address, endpoint };
        turn.event(vec![receiver], event);
        turn.activity(Activity::Offered { offer, user: from.clone(), to, label, bytes });
        Ok(ReplyBody::Offered { offer })
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
        let Some(address) = self.sessions.get(user).map(|it| it.udp_address()) else {
            return Err(Refusal::OutOfOrder);
        };
        self.offers.remove(offer);
        let sender = self.sessions.get(&from).map(|it| it.connection);
        turn.event(sender.into_iter().collect(), Event::OfferAccepted { offer, address, index });
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
        let tell = tell.iter().filter_map(|user| self.sessions.get(*user)).map(|it| it.connection).collect();
        turn.event(tell, Event::OfferEnded { offer, reason });
        turn.activity(Activity::OfferEnded { offer, reason });
    }
}
