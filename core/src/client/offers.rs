//! Files offered to and by this user, and how their transfers go.

use core::iter::repeat_with;
use std::net::SocketAddr;
use std::path::PathBuf;

use rand_chacha::rand_core::Rng;

use super::agreement::{Party, Subject, agreement};
use super::commands::fail;
use super::event::{Direction, Event, Failure, TransferFailure, TransferState};
use super::io::{AcceptPolicy, Output, Progress, Report, Side, SourceId, Start};
use super::requests::Asked;
use super::session::Client;
use super::transfers::{Entry, MAX_INCOMING, MAX_OUTGOING, Stage};
use crate::id::{OfferId, PeerIndex};
use crate::name::UserName;
use crate::secure::{PeerSecret, PublicKey};
use crate::text::FileLabel;
use crate::time::Instant;
use crate::wire::message::{OfferEnd, PeerEndpoint, RequestBody};

/// A file that is being offered: its driver opens it, or the server has not replied. There is one at a time.
#[derive(Debug)]
pub(super) struct Offering {
    pub(super) source: SourceId,
    to: UserName,
    path: PathBuf,
    /// Once the file is open and the server was asked.
    pub(super) asked: Option<(FileLabel, u64, PeerEndpoint)>,
}

// One's own offers.
impl Client {
    pub(super) fn send_file(&mut self, to: &str, path: PathBuf, out: &mut Vec<Output>) {
        let Ok(to) = UserName::new(to).or_else(|_| UserName::read(to)) else {
            return fail(Failure::NoSuchUser(vec![to.to_owned()]), out);
        };
        if !self.transfers.may_offer() {
            let words = format!("one can offer and send {MAX_OUTGOING} files at once");
            return fail(Failure::LimitReached(words), out);
        }
        self.last_source += 1;
        let source = SourceId(self.last_source);
        out.push(Output::OpenSource { source, path: path.clone() });
        self.offering = Some(Offering { source, to, path, asked: None });
    }

    pub(super) fn source_opened(&mut self, source: SourceId, label: FileLabel, bytes: u64, out: &mut Vec<Output>) {
        let endpoint = PeerEndpoint { index: self.new_index(), secret: self.new_secret() };
        match &mut self.offering {
            Some(offering) if offering.source == source && offering.asked.is_none() => {
                let (to, label_sent, endpoint_sent) = (offering.to.to_string(), label.clone(), endpoint.clone());
                offering.asked = Some((label, bytes, endpoint));
                let body = RequestBody::Offer { to, label: label_sent, bytes, endpoint: endpoint_sent };
                self.requests.ask(body, Asked::Offer, out);
            }
            _ => out.push(Output::CloseSource { source }),
        }
    }

    pub(super) fn source_failed(&mut self, source: SourceId, missing: bool, reason: String, out: &mut Vec<Output>) {
        let opening = |offering: &mut Offering| offering.source == source && offering.asked.is_none();
        if let Some(offering) = self.offering.take_if(opening) {
            let path = offering.path.to_string_lossy().into_owned();
            fail(if missing { Failure::NoSuchFile(path) } else { Failure::UnreadableFile(reason) }, out);
        }
    }

    pub(super) fn offered(&mut self, offer: OfferId, out: &mut Vec<Output>) {
        if self.transfers.contains(offer) {
            return self.broken("the number of an offer was given twice", out);
        }
        let Some(Offering { source, to, asked: Some((label, total, endpoint)), .. }) = self.offering.take() else {
            return;
        };
        let PeerEndpoint { index, secret } = endpoint;
        let stage = Stage::Offered { source, index, secret };
        let entry = Entry::new(to, label, total, stage);
        out.push(Output::Event(Event::Transfer(entry.shown(offer, TransferState::Starting))));
        self.transfers.insert(offer, entry);
        if self.is_leaving() {
            self.end_all_transfers(out);
        }
    }

    /// The offer at hand came to nothing.
    pub(super) fn offering_failed(&mut self, failure: Failure, out: &mut Vec<Output>) {
        if let Some(offering) = self.offering.take() {
            fail(failure, out);
            if offering.asked.is_some() {
                out.push(Output::CloseSource { source: offering.source });
            }
        }
    }

    pub(super) fn offer_accepted(
        &mut self,
        offer: OfferId,
        (address, remote_index, device): (SocketAddr, PeerIndex, PublicKey),
        out: &mut Vec<Output>,
    ) {
        let (Some(entry), Some(user)) = (self.transfers.get_mut(offer), &self.user) else { return };
        let Stage::Offered { source, index, ref secret } = entry.stage else { return };
        let sender = Party { name: user, device: self.device };
        let receiver = Party { name: &entry.peer, device };
        let subject = Subject { offer, sender, receiver, label: &entry.label, bytes: entry.total };
        out.push(Output::Start(Start {
            transfer: offer,
            remote: address,
            local_index: index,
            remote_index,
            agreement: agreement(&subject, device, secret.clone()),
            bytes: entry.total,
            side: Side::Send { source },
        }));
        entry.stage = Stage::Running { direction: Direction::Out, index, moving: false };
        // It was being taken back, but the answer was faster: the receiver hears of it from this end.
        if entry.ending.is_some() {
            out.push(Output::Cancel { transfer: offer });
        }
    }

    /// The server took back an offer of one's own, unless it was answered before.
    pub(super) fn withdrawn(&mut self, offer: OfferId, out: &mut Vec<Output>) {
        let unanswered = |entry: &mut Entry| matches!(entry.stage, Stage::Offered { .. });
        if self.transfers.get_mut(offer).is_some_and(unanswered) {
            self.end_transfer(offer, TransferFailure::Cancelled, out);
        }
    }
}

// Offers of others.
impl Client {
    pub(super) fn offer_arrived(
        &mut self,
        offer: OfferId,
        from: UserName,
        label: FileLabel,
        bytes: u64,
        (address, endpoint, device): (SocketAddr, PeerEndpoint, PublicKey),
        out: &mut Vec<Output>,
    ) {
        if self.transfers.contains(offer) {
            return self.broken("the number of an offer was given twice", out);
        }
        if self.is_leaving() {
            return;
        }
        out.push(Output::Event(Event::Offer { id: offer, from: from.clone(), name: label.clone(), bytes }));
        let wanted = self.accept != AcceptPolicy::None && self.transfers.may_wait();
        // Once this client is only finishing what was asked, there is nobody to ask, and nothing new begins.
        if !wanted || self.finishing {
            return self.refuse(offer);
        }
        let stage = Stage::Waiting { address, endpoint, device };
        self.transfers.insert(offer, Entry::new(from, label, bytes, stage));
    }

    /// Accepts by policy what waits, as far as there is room; the rest when something has ended.
    pub(super) fn accept_by_policy(&mut self, out: &mut Vec<Output>) {
        if self.accept != AcceptPolicy::All || self.finishing || self.is_leaving() {
            return;
        }
        while self.transfers.may_receive()
            && let Some(offer) = self.transfers.first_waiting()
        {
            let index = self.new_index();
            let asked = Asked::Answer { offer, by_command: false };
            if !self.requests.ask_own(RequestBody::AnswerOffer { offer, index: Some(index) }, asked) {
                return;
            }
            self.receive(offer, index, out);
        }
    }

    pub(super) fn accept_offer(&mut self, offer: OfferId, out: &mut Vec<Output>) {
        if !self.is_waiting(offer) {
            return fail(Failure::NoSuchOffer, out);
        }
        if !self.transfers.may_receive() {
            let words = format!("one can receive {MAX_INCOMING} files at once; accept it when one of them has ended");
            return fail(Failure::LimitReached(words), out);
        }
        let index = self.new_index();
        out.push(Output::Event(Event::OfferAnswered { id: offer, accepted: true }));
        self.receive(offer, index, out);
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
    fn receive(&mut self, offer: OfferId, local: PeerIndex, out: &mut Vec<Output>) {
        let (Some(entry), Some(user)) = (self.transfers.get_mut(offer), &self.user) else { return };
        let Stage::Waiting { address, ref endpoint, device } = entry.stage else { return };
        let sender = Party { name: &entry.peer, device };
        let receiver = Party { name: user, device: self.device };
        let subject = Subject { offer, sender, receiver, label: &entry.label, bytes: entry.total };
        let start = Start {
            transfer: offer,
            remote: address,
            local_index: local,
            remote_index: endpoint.index,
            agreement: agreement(&subject, device, endpoint.secret.clone()),
            bytes: entry.total,
            side: Side::Receive { from: entry.peer.clone(), label: entry.label.clone() },
        };
        entry.stage = Stage::Running { direction: Direction::In, index: local, moving: false };
        out.push(Output::Event(Event::Transfer(entry.shown(offer, TransferState::Starting))));
        out.push(Output::Start(start));
    }

    /// The server refused the answer: the offer was over. What was started for it ends.
    pub(super) fn answer_came_too_late(&mut self, offer: OfferId, out: &mut Vec<Output>) {
        let over = self.transfers.get_mut(offer).and_then(|entry| entry.over.take());
        self.end_running(offer, over.unwrap_or(TransferFailure::PeerLeft), out);
    }

    fn is_waiting(&mut self, offer: OfferId) -> bool {
        self.transfers.get_mut(offer).is_some_and(|entry| matches!(entry.stage, Stage::Waiting { .. }))
    }
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
                self.end_running(id, TransferFailure::Cancelled, out);
            }
            _ => fail(Failure::NoSuchOffer, out),
        }
    }

    pub(super) fn report(&mut self, Report { transfer: id, progress }: Report, out: &mut Vec<Output>) {
        let Some(entry) = self.transfers.get_mut(id) else { return };
        let Stage::Running { moving, .. } = &mut entry.stage else { return };
        match progress {
            Progress::Moving { bytes, rate_bps } => {
                *moving = true;
                (entry.bytes, entry.rate_bps) = (bytes, rate_bps);
                out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Moving))));
            }
            Progress::Done { blake3, saved_as } => {
                entry.bytes = entry.total;
                out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Done { blake3, saved_as }))));
                self.transfers.remove(id);
            }
            Progress::Failed(failure) => self.end_transfer(id, failure, out),
        }
    }

    /// Gives up what has gone on for too long after its other end has left.
    pub(super) fn give_up_deserted(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(id) = self.transfers.take_given_up(now) {
            self.end_running(id, TransferFailure::PeerLeft, out);
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
                _ => self.end_running(id, TransferFailure::Cancelled, out),
            }
        }
    }

    /// Empties the book at once: there is no time, or no server, to do it properly.
    pub(super) fn abandon_transfers(&mut self, why: TransferFailure, out: &mut Vec<Output>) {
        for id in self.transfers.ids() {
            self.end_running(id, why.clone(), out);
            self.end_transfer(id, why.clone(), out);
        }
    }

    /// Tells the transfer machine to end a transfer, once; its report follows.
    fn end_running(&mut self, id: OfferId, why: TransferFailure, out: &mut Vec<Output>) {
        if let Some(Entry { stage: Stage::Running { .. }, ending: ending @ None, .. }) = self.transfers.get_mut(id) {
            *ending = Some(why);
            out.push(Output::Cancel { transfer: id });
        }
    }

    /// Takes an entry out of the book and says why it failed.
    fn end_transfer(&mut self, id: OfferId, why: TransferFailure, out: &mut Vec<Output>) {
        let Some(mut entry) = self.transfers.remove(id) else { return };
        let why = entry.ending.take().unwrap_or(why);
        out.push(Output::Event(Event::Transfer(entry.shown(id, TransferState::Failed(why)))));
        if let Stage::Offered { source, .. } = entry.stage {
            out.push(Output::CloseSource { source });
        }
    }

    fn new_index(&mut self) -> PeerIndex {
        let random = &mut self.random;
        self.transfers.unused_index(repeat_with(|| PeerIndex(random.next_u32())))
    }

    fn new_secret(&mut self) -> PeerSecret {
        let mut secret = PeerSecret([0; 32]);
        self.random.fill_bytes(&mut secret.0);
        secret
    }
}
