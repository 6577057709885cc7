//! A file is offered: it is opened, its receiver's device is asked for, and the offer is sealed for that device.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::agreement::{Party, Subject, agreement};
use super::commands::fail;
use super::event::{Direction, Event, Failure, TransferFailure, TransferState};
use super::io::{Output, Side, SourceId, Start};
use super::requests::{Asked, Wanted};
use super::session::Client;
use super::standing::PathKind;
use super::transfers::{Agreed, Entry, MAX_OUTGOING, Stage};
use crate::id::{OfferId, PeerIndex};
use crate::name::UserName;
use crate::secure::{ListingSize, OfferContents, OfferParties, PeerSecret, PublicKey, seal_offer};
use crate::text::FileLabel;
use crate::wire::message::{Devices, Refusal, RequestBody};

/// What the driver has opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) label: FileLabel,
    /// Of a stream they are known at its end.
    pub(super) bytes: Option<u64>,
    /// Of a folder or several files.
    pub(super) listing: Option<ListingSize>,
}

/// A file or a stream that is being offered: its driver opens it, or the server has not replied. There is one at a
/// time.
#[derive(Debug)]
pub(super) struct Offering {
    pub(super) source: SourceId,
    to: UserName,
    /// Once it is open and the server was asked for the receiver's key.
    file: Option<Opened>,
    /// Once the offer was sealed.
    sealed: Option<(PeerIndex, Agreed)>,
    /// Whether the receiver was on another device than the one it was sealed for.
    again: bool,
}

impl Client {
    pub(super) fn send_files(&mut self, to: &str, paths: Vec<PathBuf>, out: &mut Vec<Output>) {
        let Some(to) = self.may_offer_to(to, out) else { return };
        let source = self.new_source();
        out.push(Output::OpenSource { source, paths });
        self.offering = Some(Offering { source, to, file: None, sealed: None, again: false });
    }

    /// Nothing has to be opened, and it may go on for ever.
    pub(super) fn send_stream(&mut self, to: &str, name: &str, out: &mut Vec<Output>) {
        let Some(to) = self.may_offer_to(to, out) else { return };
        let (source, file) =
            (self.new_source(), Some(Opened { label: FileLabel::new(name), bytes: None, listing: None }));
        self.offering = Some(Offering { source, to: to.clone(), file, sealed: None, again: false });
        self.ask_devices(&to.clone(), Wanted::Receiver { user: to }, out);
    }

    /// Who it goes to, if one more can go there.
    fn may_offer_to(&self, to: &str, out: &mut Vec<Output>) -> Option<UserName> {
        let Ok(to) = UserName::new(to).or_else(|_| UserName::read(to)) else {
            fail(Failure::NoSuchUser(vec![to.to_owned()]), out);
            return None;
        };
        if !self.transfers.may_offer() {
            let words = format!("one can offer and send {MAX_OUTGOING} files at once");
            fail(Failure::LimitReached(words), out);
            return None;
        }
        Some(to)
    }

    fn new_source(&mut self) -> SourceId {
        self.last_source += 1;
        SourceId(self.last_source)
    }

    pub(super) fn source_opened(&mut self, source: SourceId, opened: Opened, out: &mut Vec<Output>) {
        match &mut self.offering {
            Some(offering) if offering.source == source && offering.file.is_none() => {
                offering.file = Some(opened);
                let user = offering.to.clone();
                self.ask_devices(&user.clone(), Wanted::Receiver { user }, out);
            }
            _ => out.push(Output::CloseSource { source }),
        }
    }

    /// The receiver's devices are known: the offer is sealed for the one they are active on.
    pub(super) fn receiver_known(&mut self, devices: &Devices, out: &mut Vec<Output>) {
        let (Some(offering), Some(user)) = (&self.offering, self.user.clone()) else { return };
        // The receiver knows themselves by this spelling of their name.
        let (to, Some(opened)) = (devices.user.clone(), offering.file.clone()) else { return };
        if self.is_leaving() {
            return self.offering_failed(Failure::NotLoggedIn, out);
        }
        if to == user {
            return self.offering_failed(Failure::Oneself, out);
        }
        let Some(device) = devices.active else {
            return self.offering_failed(Failure::UserOffline(vec![to]), out);
        };
        if !self.key_presented(&to, device, &devices.keys, out) {
            return self.offering_failed(Failure::PeerKeyChanged { user: to, key: device }, out);
        }
        let (index, secret, seed) = (self.new_index(), PeerSecret(self.random_bytes()), self.random_bytes());
        let parties = OfferParties { sender: &user, receiver: &to };
        let Opened { label, bytes, listing } = opened;
        let contents = OfferContents { label, bytes, secret: secret.clone(), listing };
        let Some(sealed) = seal_offer(parties, &self.device, &device, &contents, seed) else {
            return self.offering_failed(Failure::LimitReached("the name of a file".to_owned()), out);
        };
        if let Some(offering) = &mut self.offering {
            offering.sealed = Some((index, Agreed { device, secret, sealed: sealed.hash() }));
            offering.to = to.clone();
        }
        let body = RequestBody::Offer { to: to.to_string(), device, index, sealed };
        self.requests.ask(body, Asked::Offer, out);
    }

    /// The server refused the offer. If the receiver has just changed devices, it is sealed once more.
    pub(super) fn offer_refused(&mut self, refusal: Refusal, out: &mut Vec<Output>) {
        match &mut self.offering {
            Some(offering) if refusal == Refusal::DeviceChanged && !offering.again => {
                (offering.again, offering.sealed) = (true, None);
                let user = offering.to.clone();
                self.ask_devices(&user.clone(), Wanted::Receiver { user }, out);
            }
            _ => self.offering_failed(refusal.into(), out),
        }
    }

    pub(super) fn source_failed(
        &mut self,
        source: SourceId,
        missing: Option<PathBuf>,
        reason: String,
        out: &mut Vec<Output>,
    ) {
        let opening = |offering: &mut Offering| offering.source == source && offering.file.is_none();
        if self.offering.take_if(opening).is_some() {
            let no_such_file = |path: PathBuf| Failure::NoSuchFile(path.to_string_lossy().into_owned());
            fail(missing.map_or(Failure::UnreadableFile(reason), no_such_file), out);
        }
    }

    pub(super) fn offered(&mut self, offer: OfferId, out: &mut Vec<Output>) {
        if self.transfers.contains(offer) {
            return self.broken("the number of an offer was given twice", out);
        }
        let offering = self.offering.take();
        let Some(Offering { source, to, file: Some(opened), sealed: Some((index, agreed)), .. }) = offering else {
            return;
        };
        let stage = Stage::Offered { source, index, agreed };
        let Opened { label, bytes, listing } = opened;
        let entry = Entry { listing, ..Entry::new(to, label, bytes, stage) };
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
            if offering.file.is_some() {
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
        let Stage::Offered { source, index, ref agreed } = entry.stage else { return };
        if agreed.device != device {
            return self.end_transfer(offer, TransferFailure::KeyChanged, out);
        }
        let sender = Party { name: user, device: self.public };
        let receiver = Party { name: &entry.peer, device };
        let (label, sealed) = (&entry.label, &agreed.sealed);
        let subject = Subject { offer, sender, receiver, label, bytes: entry.total, sealed };
        out.push(Output::Start(Start {
            transfer: offer,
            remote: address,
            local_index: index,
            remote_index,
            agreement: agreement(&subject, device, agreed.secret.clone()),
            bytes: entry.total,
            listing: entry.listing.map(|listing| listing.bytes),
            side: Side::Send { source },
        }));
        entry.stage = Stage::Running { direction: Direction::Out, index, moving: false };
        entry.path.kind = PathKind::to(address);
        // It was being taken back, but the answer was faster: the receiver hears of it from this end.
        if entry.ending.is_some() {
            out.push(Output::Cancel { transfer: offer, keep: true });
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
