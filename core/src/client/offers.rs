//! Files offered to this user, and how transfers go.

use core::iter::repeat_with;
use std::net::SocketAddr;

use rand_chacha::rand_core::Rng;

use super::agreement::{Party, Subject, agreement};
use super::commands::fail;
use super::ending::DESERTED_PATIENCE;
use super::event::{Direction, Event, Failure, TransferFailure, TransferState};
use super::io::{AcceptPolicy, Destination, Output, Progress, Report, Side, Start};
use super::requests::Asked;
use super::session::Client;
use super::standing::PathKind;
use super::transfers::{Agreed, Entry, MAX_INCOMING, Stage, Stall};
use super::verify::are_keys;
use crate::id::{OfferId, PeerIndex};
use crate::name::UserName;
use crate::secure::{ListingSize, OfferContents, OfferParties, PublicKey, SealedOffer, open_offer};
use crate::time::Instant;
use crate::transfer::listing::{MAX_CONTENTS, MAX_ENTRIES, MAX_LISTING_BYTES};
use crate::wire::message::{OfferEnd, RequestBody};

/// Somebody's offer.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) offer: OfferId,
    pub(super) from: UserName,
    /// The key of their device, and of all their devices.
    pub(super) device: PublicKey,
    pub(super) keys: Vec<PublicKey>,
    pub(super) address: SocketAddr,
    pub(super) index: PeerIndex,
    pub(super) sealed: SealedOffer,
}

// Offers of others.
impl Client {
    pub(super) fn offer_arrived(&mut self, arrived: Arrived, out: &mut Vec<Output>) {
        let Arrived { offer, from, device, keys, address, index, sealed } = arrived;
        if self.transfers.contains(offer) {
            return self.broken("the number of an offer was given twice", out);
        }
        if !keys.contains(&device) || !are_keys(&keys) {
            return self.broken("a list of devices that is none", out);
        }
        if self.is_leaving() {
            return;
        }
        if self.people.refuse(&from, &device) {
            out.push(Output::Event(Event::PeerKeyChanged { user: from, key: device, verified: true }));
            return self.refuse(offer);
        }
        let Some(OfferContents { label, bytes, secret, listing }) = self.open(&from, &device, &sealed) else {
            // Nobody else can have meant it for this device: there is nothing to show.
            self.unopened_offers += 1;
            return self.refuse(offer);
        };
        self.key_presented(&from, device, &keys, out);
        let entries = listing.map(|listing| listing.entries);
        let held = !self.people.may_be_accepted(&from);
        out.push(Output::Event(Event::Offer {
            id: offer,
            from: from.clone(),
            name: label.clone(),
            bytes,
            entries,
            held,
        }));
        let wanted = self.accept != AcceptPolicy::None && self.transfers.may_wait();
        // Once this client is only finishing what was asked, there is nobody to ask, and nothing new begins.
        if !wanted || self.finishing {
            return self.refuse(offer);
        }
        let stage = Stage::Waiting { address, index, agreed: Agreed { device, secret, sealed: sealed.hash() } };
        self.transfers.insert(offer, Entry { listing, ..Entry::new(from, label, bytes, stage) });
    }

    /// Accepts by policy what waits, as far as there is room; the rest when something has ended.
    pub(super) fn accept_by_policy(&mut self, out: &mut Vec<Output>) {
        if self.accept != AcceptPolicy::All || self.finishing || self.is_leaving() {
            return;
        }
        while self.transfers.may_receive()
            && let Some(offer) = self.transfers.first_waiting(|from| self.people.may_be_accepted(from))
        {
            let index = self.new_index();
            let asked = Asked::Answer { offer, by_command: false };
            if !self.requests.ask_own(RequestBody::AnswerOffer { offer, index: Some(index) }, asked) {
                return;
            }
            self.receive(offer, index, Destination::File, out);
        }
    }

    pub(super) fn accept_offer(&mut self, offer: OfferId, into: Destination, out: &mut Vec<Output>) {
        if !self.is_waiting(offer) {
            return fail(Failure::NoSuchOffer, out);
        }
        let entry = self.transfers.get_mut(offer).filter(|entry| entry.listing.is_some());
        if let (Some(entry), Destination::Stream) = (entry, into) {
            return fail(Failure::NoStream(entry.label.clone()), out);
        }
        if !self.transfers.may_receive() {
            let words = format!("one can receive {MAX_INCOMING} files at once; accept it when one of them has ended");
            return fail(Failure::LimitReached(words), out);
        }
        let from = self.transfers.get_mut(offer).map(|entry| entry.peer.clone());
        out.extend(from.and_then(|from| self.people.accept(&from)).map(Output::Remember));
        let index = self.new_index();
        out.push(Output::Event(Event::OfferAnswered { id: offer, accepted: true }));
        self.receive(offer, index, into, out);
        let body = RequestBody::AnswerOffer { offer, index: Some(index) };
        self.requests.ask(body, Asked::Answer { offer, by_command: true }, out);
    }

    pub(super) fn reject_offer(&mut self, offer: OfferId, out: &mut Vec<Output>) {
        if !self.is_waiting(offer) {
            return fail(Failure::NoSuchOffer, out);
        }
        self.transfers.remove(offer);
        out.push(Output::Event(Event::OfferAnswered { id: offer, accepted: false }));
        let body = RequestBody::AnswerOffer { offer, index: None };
        self.requests.ask(body, Asked::Answer { offer, by_command: true }, out);
    }

    /// Refuses on one's own account.
    pub(super) fn refuse(&mut self, offer: OfferId) {
        self.transfers.remove(offer);
        let body = RequestBody::AnswerOffer { offer, index: None };
        self.requests.ask_own(body, Asked::Answer { offer, by_command: false });
    }

    /// Listens for the sender before it hears that the offer is accepted.
    fn receive(&mut self, offer: OfferId, local: PeerIndex, into: Destination, out: &mut Vec<Output>) {
        let (Some(entry), Some(user)) = (self.transfers.get_mut(offer), &self.user) else { return };
        let Stage::Waiting { address, index, ref agreed } = entry.stage else { return };
        let sender = Party { name: &entry.peer, device: agreed.device };
        let receiver = Party { name: user, device: self.public };
        let (label, sealed) = (&entry.label, &agreed.sealed);
        let subject = Subject { offer, sender, receiver, label, bytes: entry.total, sealed };
        let start = Start {
            transfer: offer,
            remote: address,
            local_index: local,
            remote_index: index,
            agreement: agreement(&subject, agreed.device, agreed.secret.clone()),
            bytes: entry.total,
            listing: entry.listing.map(|listing| listing.bytes),
            side: Side::Receive { from: entry.peer.clone(), label: entry.label.clone(), into },
        };
        entry.stage = Stage::Running { direction: Direction::In, index: local, moving: false };
        entry.path.kind = PathKind::to(address);
        out.push(Output::Event(Event::Transfer(entry.shown(offer, TransferState::Starting))));
        out.push(Output::Start(start));
    }

    /// The server refused the answer: the offer was over. What was started for it ends.
    pub(super) fn answer_came_too_late(&mut self, offer: OfferId, out: &mut Vec<Output>) {
        let over = self.transfers.get_mut(offer).and_then(|entry| entry.over.take());
        self.end_running(offer, over.unwrap_or(TransferFailure::PeerLeft), true, out);
    }

    fn open(&self, from: &UserName, device: &PublicKey, sealed: &SealedOffer) -> Option<OfferContents> {
        let parties = OfferParties { sender: from, receiver: self.user.as_ref()? };
        open_offer(parties, &self.device, device, sealed).filter(is_possible)
    }

    fn is_waiting(&mut self, offer: OfferId) -> bool {
        self.transfers.get_mut(offer).is_some_and(|entry| matches!(entry.stage, Stage::Waiting { .. }))
    }
}

/// Whether a listing is within its bounds, and not of a stream.
fn is_possible(contents: &OfferContents) -> bool {
    contents.listing.is_none_or(|ListingSize { bytes, entries }| {
        let is_small = bytes <= MAX_LISTING_BYTES as u64 && entries as usize <= MAX_ENTRIES;
        is_small && bytes > 0 && contents.bytes.is_some_and(|bytes| bytes <= MAX_CONTENTS)
    })
}

// Both.
impl Client {
    /// The server says that an offer can no longer be answered.
    pub(super) fn offer_ended(&mut self, offer: OfferId, reason: OfferEnd, out: &mut Vec<Output>) {
        let failure = match reason {
            OfferEnd::Rejected => TransferFailure::Rejected,
            OfferEnd::Expired => TransferFailure::Expired,
            OfferEnd::Withdrawn => TransferFailure::Withdrawn,
            OfferEnd::UserLeft => TransferFailure::PeerLeft,
        };
        // One that runs was answered in time, or the reply to the answer says otherwise.
        match self.transfers.get_mut(offer) {
            Some(Entry { stage: Stage::Running { .. }, over, .. }) => *over = Some(failure),
            _ => self.end_transfer(offer, failure, out),
        }
    }

    pub(super) fn cancel(&mut self, id: OfferId, out: &mut Vec<Output>) {
        match self.transfers.get_mut(id) {
            Some(Entry { stage: Stage::Waiting { .. }, .. }) => self.reject_offer(id, out),
            Some(Entry { stage: Stage::Offered { .. }, ending: ending @ None, .. }) => {
                *ending = Some(TransferFailure::Cancelled);
                let asked = Asked::Withdraw { offer: id, by_command: true };
                self.requests.ask(RequestBody::WithdrawOffer { offer: id }, asked, out);
            }
            Some(Entry { stage: Stage::Running { .. }, ending: None, .. }) => {
                self.end_running(id, TransferFailure::Cancelled, false, out);
            }
            _ => fail(Failure::NoSuchOffer, out),
        }
    }

    pub(super) fn report(&mut self, now: Instant, Report { transfer: id, progress }: Report, out: &mut Vec<Output>) {
        let Some(entry) = self.transfers.get_mut(id) else { return };
        if !matches!(entry.stage, Stage::Running { .. }) {
            return;
        }
        match progress {
            Progress::Resumed { bytes, of } => {
                entry.moves(bytes);
                out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Resumed { had: of }))));
                self.transfers.put_off(id, now + DESERTED_PATIENCE);
            }
            Progress::Moving { bytes, rate_bps, path } => {
                entry.moves(bytes);
                (entry.rate_bps, entry.path) = (rate_bps, path);
                out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Moving))));
                self.transfers.put_off(id, now + DESERTED_PATIENCE);
            }
            Progress::Waiting(waiting) => {
                entry.stall(Stall::Waiting(waiting));
                out.push(Output::Event(Event::Transfer(entry.shown(id, entry.state(now)))));
            }
            Progress::Paused { silent } => {
                let since = now.as_nanos().saturating_sub(u64::try_from(silent.as_nanos()).unwrap_or(u64::MAX));
                entry.stall(Stall::Silent(Instant::from_nanos(since)));
                out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Paused { silent }))));
            }
            Progress::Done { blake3, saved_as } => {
                // All bytes of a stream were told before.
                entry.bytes = entry.total.unwrap_or(entry.bytes);
                entry.total = Some(entry.bytes);
                out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Done { blake3, saved_as }))));
                self.transfers.remove(id);
            }
            Progress::Failed(failure) => self.end_transfer(id, failure, out),
        }
    }

    /// Gives up what has gone on for too long after its other end has left.
    pub(super) fn give_up_deserted(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(id) = self.transfers.take_given_up(now) {
            self.end_running(id, TransferFailure::PeerLeft, true, out);
        }
    }

    /// Begins to end everything in the book: a logout.
    pub(super) fn end_all_transfers(&mut self, out: &mut Vec<Output>) {
        for id in self.transfers.ids() {
            match self.transfers.get_mut(id) {
                // The server tells the sender that this user left.
                Some(Entry { stage: Stage::Waiting { .. }, .. }) => drop(self.transfers.remove(id)),
                Some(Entry { stage: Stage::Offered { .. }, ending: ending @ None, .. }) => {
                    *ending = Some(TransferFailure::Cancelled);
                    let asked = Asked::Withdraw { offer: id, by_command: false };
                    self.requests.ask_own(RequestBody::WithdrawOffer { offer: id }, asked);
                }
                _ => self.end_running(id, TransferFailure::Cancelled, true, out),
            }
        }
    }

    /// Empties the book at once: there is no time, or no server, to do it properly.
    pub(super) fn abandon_transfers(&mut self, why: TransferFailure, out: &mut Vec<Output>) {
        for id in self.transfers.ids() {
            self.end_running(id, why.clone(), true, out);
            self.end_transfer(id, why.clone(), out);
        }
    }

    /// Tells the transfer machine to end a transfer, once; its report follows. It may go on later, or not.
    pub(super) fn end_running(&mut self, id: OfferId, why: TransferFailure, keep: bool, out: &mut Vec<Output>) {
        if let Some(Entry { stage: Stage::Running { .. }, ending: ending @ None, .. }) = self.transfers.get_mut(id) {
            *ending = Some(why);
            out.push(Output::Cancel { transfer: id, keep });
        }
    }

    /// Takes an entry out of the book and says why it failed.
    pub(super) fn end_transfer(&mut self, id: OfferId, why: TransferFailure, out: &mut Vec<Output>) {
        let Some(mut entry) = self.transfers.remove(id) else { return };
        let why = entry.ending.take().unwrap_or(why);
        out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Failed(why)))));
        if let Stage::Offered { source, .. } = entry.stage {
            out.push(Output::CloseSource { source });
        }
    }

    pub(super) fn new_index(&mut self) -> PeerIndex {
        let random = &mut self.random;
        self.transfers.unused_index(repeat_with(|| PeerIndex(random.next_u32())))
    }

    pub(super) fn random_bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill_bytes(&mut bytes);
        bytes
    }
}
