//! Files that were offered and not answered.

use std::net::SocketAddr;

use toom_core::id::{OfferId, PeerIndex};
use toom_core::name::UserName;
use toom_core::secure::PublicKey;
use toom_core::text::FileLabel;
use toom_core::wire::limits::{MAX_OFFERS_PER_USER, OFFER_LIFETIME};
use toom_core::wire::message::{Event, OfferEnd, PeerEndpoint, Refusal, ReplyBody};

use super::Model;

/// One offer.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    from: UserName,
    to: UserName,
    pub(super) ends: u64,
}

impl Model {
    pub(super) fn offer(
        &mut self,
        from: &UserName,
        to: &str,
        (label, bytes, endpoint): (FileLabel, u64, PeerEndpoint),
    ) -> Result<ReplyBody, Refusal> {
        let to = self.other(from, to)?;
        if !self.active.contains_key(&to) {
            return Err(Refusal::UserOffline(vec![to]));
        }
        if self.offers.values().filter(|offer| offer.from == *from).count() >= MAX_OFFERS_PER_USER {
            return Err(Refusal::LimitReached(String::new()));
        }
        self.last_offer += 1;
        let offer = OfferId(self.last_offer);
        let (address, device) = (self.udp_address(from), self.device(from));
        self.tell(&to, &Event::Offer { offer, from: from.clone(), label, bytes, address, endpoint, device });
        let ends = self.ms + OFFER_LIFETIME.as_millis() as u64;
        self.offers.insert(offer.0, Offer { from: from.clone(), to, ends });
        Ok(ReplyBody::Offered { offer })
    }

    pub(super) fn answer_offer(
        &mut self,
        user: &UserName,
        offer: OfferId,
        index: Option<PeerIndex>,
    ) -> Result<ReplyBody, Refusal> {
        let it = self.take_offer(offer, |it| it.to == *user)?;
        let event = match index {
            Some(index) => {
                let (address, device) = (self.udp_address(user), self.device(user));
                Event::OfferAccepted { offer, address, index, device }
            }
            None => Event::OfferEnded { offer, reason: OfferEnd::Rejected },
        };
        self.tell(&it.from, &event);
        Ok(ReplyBody::Done)
    }

    pub(super) fn withdraw_offer(&mut self, user: &UserName, offer: OfferId) -> Result<ReplyBody, Refusal> {
        let it = self.take_offer(offer, |it| it.from == *user)?;
        self.tell(&it.to, &Event::OfferEnded { offer, reason: OfferEnd::Withdrawn });
        Ok(ReplyBody::Done)
    }

    /// Those that this user made, then those made to them.
    pub(super) fn end_offers_of(&mut self, user: &UserName) {
        let ids = |which: fn(&Offer) -> &UserName| {
            self.offers.iter().filter(move |(_, it)| which(it) == user).map(|(id, _)| *id).collect::<Vec<_>>()
        };
        for id in [ids(|it| &it.from), ids(|it| &it.to)].concat() {
            let it = self.offers.remove(&id).expect("an offer");
            let other = if it.from == *user { it.to } else { it.from };
            self.tell(&other, &Event::OfferEnded { offer: OfferId(id), reason: OfferEnd::UserLeft });
        }
    }

    pub(super) fn expire_offers(&mut self) {
        let over: Vec<u64> = self.offers.iter().filter(|(_, it)| it.ends <= self.ms).map(|(id, _)| *id).collect();
        for id in over {
            let it = self.offers.remove(&id).expect("an offer");
            let event = Event::OfferEnded { offer: OfferId(id), reason: OfferEnd::Expired };
            self.tell(&it.from, &event);
            self.tell(&it.to, &event);
        }
    }

    fn take_offer(&mut self, offer: OfferId, may: impl Fn(&Offer) -> bool) -> Result<Offer, Refusal> {
        let it = self.offers.get(&offer.0).filter(|it| may(it)).ok_or(Refusal::NoSuchOffer)?.clone();
        self.offers.remove(&offer.0);
        Ok(it)
    }

    fn device(&self, user: &UserName) -> PublicKey {
        super::device(self.active[user].connection)
    }

    fn udp_address(&self, user: &UserName) -> SocketAddr {
        let session = &self.active[user];
        SocketAddr::new(self.connections[&session.connection].address, session.udp_port)
    }
}
