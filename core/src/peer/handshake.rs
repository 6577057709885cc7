//! How two peers agree on the keys of their packets: `Noise_KKpsk0_25519_*_BLAKE2s`, one datagram each way.
//!
//! # Theory of operation
//!
//! Both know each other's device keys and a secret that nobody else knows ([`PeerAgreement`]), and bind what the
//! transfer is about into the prologue. The initiator (who offered) sends its datagram until the answer is there,
//! less and less often. The responder answers from wherever the datagram came, with no more bytes than that had,
//! and says nothing unasked.
//!
//! With its answer the responder tells [`HANDSHAKE_TOLD_BYTES`] of its owner's, sealed, so that the initiator knows them
//! before it sends anything else. Until its owner has said them it answers nothing, and the initiator goes on asking.
//!
//! **Why there is no cookie.** A responder that can be made to multiply on the curve by strangers needs one, as in
//! WireGuard, whose first mac everybody can make who knows a public key. Here the mac needs the shared secret: a
//! stranger's datagram costs one HMAC and has no answer. Whoever watches the path can repeat the initiator's
//! datagram, from any address: the answer to it is kept, so that this costs no multiplication either, brings the
//! other address no more bytes than were spent, and no more than [`ANSWERS_PER_SECOND`] answers. A datagram that has
//! the right mac and differs from the first one can only be the other peer's, whose own transfer it spoils: it
//! changes nothing.
//!
//! **What it proves.** To the initiator the answer proves the address that it sent to, since nobody else can make
//! it. To the responder the first authentic packet proves the address from which it came, if an answer went there
//! before: its key cannot be known without that answer (RFC 9000, section 8.1, says the same of the first packet
//! that is protected with handshake keys).

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::id::PeerIndex;
use crate::secure::{
    Handshake as Noise, HandshakeMac, PacketKeys, Pattern, PeerAgreement, PublicKey, SecretKey, Setup, Suite,
};
use crate::time::Instant;
use crate::wire::packet::{
    HANDSHAKE_BYTES, HANDSHAKE_HEADER_BYTES, HANDSHAKE_MAC_BYTES, HANDSHAKE_MESSAGE_BYTES, HANDSHAKE_TOLD_BYTES,
    HandshakeHeader, PACKET_VERSION, Role,
};

/// How long the initiator waits for the answer before it asks again: as for any probe before the first sample of
/// the round-trip time (`rtt`).
const FIRST_RETRY: Duration = Duration::from_millis(300);

/// The wait doubles until it is this: one datagram a second harms nobody, and a peer that starts later, or comes back
/// after an interruption, is reached within this time.
const MAX_RETRY: Duration = Duration::from_secs(1);

/// How many datagrams with a right mac the responder looks at in one second: what the initiator sends in that time,
/// a few copies of it, and as many from elsewhere.
pub const ANSWERS_PER_SECOND: u32 = 8;

/// What a handshake begins with.
#[derive(Debug)]
pub struct HandshakeSetup<'a> {
    /// Which end this is.
    pub role: Role,
    /// One's own key.
    pub local: &'a SecretKey,
    /// What others know of it.
    pub public: &'a PublicKey,
    /// What both ends know.
    pub agreement: &'a PeerAgreement,
    /// What datagrams to this end carry.
    pub local_index: PeerIndex,
    /// What datagrams to the other end carry.
    pub remote_index: PeerIndex,
    /// Where the initiator sends; the responder sends where it was asked.
    pub remote: SocketAddr,
    /// Random bytes, never used twice.
    pub seed: [u8; 32],
}

/// What a datagram came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Not one of this handshake, or of the other end, or one too many.
    Refused,
    /// There is no answer yet, since its owner has not said what to tell.
    NotReady,
    /// The same as before: it is answered in the same way.
    Repeated,
    /// Both ends agree.
    Agreed {
        /// The first keys.
        keys: PacketKeys,
        /// How long the initiator waited, if it asked only once.
        round_trip: Option<Duration>,
        /// What the responder told; nothing at the responder's own end.
        told: Option<[u8; HANDSHAKE_TOLD_BYTES]>,
    },
}

/// One end of a handshake.
#[derive(Debug)]
pub struct Handshake {
    suite: Suite,
    mac: HandshakeMac,
    /// Of what this end sends.
    header: HandshakeHeader,
    noise: Noise,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Initiator(Asking),
    Responder(Answering),
}

/// The initiator.
#[derive(Debug)]
struct Asking {
    datagram: Vec<u8>,
    to: SocketAddr,
    asked: u32,
    asked_at: Instant,
    /// `None` once the answer is there.
    next: Option<Instant>,
}

/// The responder.
#[derive(Debug, Default)]
struct Answering {
    /// What goes with the answer.
    tell: Option<[u8; HANDSHAKE_TOLD_BYTES]>,
    /// The mac of the datagram that was answered, and the answer.
    answered: Option<([u8; HANDSHAKE_MAC_BYTES], Vec<u8>)>,
    /// Where answers are due. At most [`ANSWERS_PER_SECOND`] between two moments at which they leave.
    due: VecDeque<SocketAddr>,
    /// How many datagrams were looked at since when.
    looked_at: u32,
    since: Instant,
}

impl Handshake {
    /// A handshake of which nothing was sent.
    pub fn new(now: Instant, setup: &HandshakeSetup<'_>) -> Handshake {
        let HandshakeSetup { role, local, agreement, seed, .. } = *setup;
        let mut noise = Noise::new(&Setup {
            pattern: Pattern::KkPsk0,
            suite: agreement.suite,
            role,
            local,
            remote: Some(&agreement.remote),
            shared: Some(&agreement.shared.0),
            prologue: &prologue(setup),
            seed,
        });
        let mac = HandshakeMac::new(&agreement.shared);
        let header = HandshakeHeader { from: role, receiver: setup.remote_index, sender: setup.local_index };
        let side = match role {
            Role::Initiator => Side::Initiator(Asking {
                // It fails only for a key that no device has, and then no answer can be read either.
                datagram: datagram(&header, &noise.write(&[]).unwrap_or_default(), &mac),
                to: setup.remote,
                asked: 0,
                asked_at: now,
                next: Some(now),
            }),
            Role::Responder => Side::Responder(Answering { since: now, ..Answering::default() }),
        };
        Handshake { suite: agreement.suite, mac, header, noise, side }
    }

    /// What a responder tells with its answer, which it gives from now on.
    pub fn tell(&mut self, told: [u8; HANDSHAKE_TOLD_BYTES]) {
        if let Side::Responder(answering) = &mut self.side {
            answering.tell = Some(told);
        }
    }

    /// A handshake datagram has arrived.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Heard {
        let HandshakeHeader { from: role, receiver, sender } = self.header;
        let expected = HandshakeHeader { from: role.other(), receiver: sender, sender: receiver };
        if HandshakeHeader::decode(datagram) != Ok(expected) || !self.mac.ends(datagram) {
            return Heard::Refused;
        }
        // As long as a header that could be decoded says.
        let (message, rest) = datagram[HANDSHAKE_HEADER_BYTES..].split_at(HANDSHAKE_MESSAGE_BYTES);
        match &mut self.side {
            Side::Initiator(asking) => {
                if asking.next.is_none() {
                    return Heard::Refused;
                }
                let message = [message, &rest[..HANDSHAKE_TOLD_BYTES]].concat();
                let told = self.noise.read(&message).ok().and_then(|told| told.try_into().ok());
                let Some(told) = told else { return Heard::Refused };
                asking.next = None;
                let round_trip = (asking.asked == 1).then(|| now.saturating_since(asking.asked_at));
                self.agreed(round_trip, Some(told))
            }
            Side::Responder(answering) => {
                if !answering.may_look(now) {
                    return Heard::Refused;
                }
                let mut mac = [0; HANDSHAKE_MAC_BYTES];
                mac.copy_from_slice(&datagram[HANDSHAKE_BYTES - HANDSHAKE_MAC_BYTES..]);
                match &answering.answered {
                    Some((before, _)) if *before == mac => {
                        answering.due.push_back(from);
                        return Heard::Repeated;
                    }
                    Some(_) => return Heard::Refused,
                    None => {}
                }
                let Some(tell) = answering.tell else { return Heard::NotReady };
                let written = self.noise.read(message).and_then(|_| self.noise.write(&tell));
                let Ok(message) = written else { return Heard::Refused };
                answering.answered = Some((mac, self::datagram(&self.header, &message, &self.mac)));
                answering.due.push_back(from);
                self.agreed(None, None)
            }
        }
    }

    /// The next datagram that may leave now, and where to.
    pub fn transmit(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        match &mut self.side {
            Side::Initiator(asking) => {
                asking.next.filter(|at| *at <= now)?;
                let wait = FIRST_RETRY.saturating_mul(2u32.saturating_pow(asking.asked)).min(MAX_RETRY);
                asking.asked = asking.asked.saturating_add(1);
                (asking.asked_at, asking.next) = (now, Some(now + wait));
                Some((asking.to, asking.datagram.clone()))
            }
            Side::Responder(answering) => {
                let (_, answer) = answering.answered.as_ref()?;
                Some((answering.due.pop_front()?, answer.clone()))
            }
        }
    }

    /// When [`transmit`](Handshake::transmit) would give something.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.side {
            Side::Initiator(asking) => asking.next,
            Side::Responder(answering) => (!answering.due.is_empty()).then_some(Instant::ZERO),
        }
    }

    fn agreed(&mut self, round_trip: Option<Duration>, told: Option<[u8; HANDSHAKE_TOLD_BYTES]>) -> Heard {
        match self.noise.keys() {
            Ok(keys) => Heard::Agreed { keys: PacketKeys::new(self.suite, self.header.from, &keys), round_trip, told },
            Err(_) => Heard::Refused,
        }
    }
}

impl Answering {
    /// Whether this second has room for another datagram.
    fn may_look(&mut self, now: Instant) -> bool {
        if now >= self.since + Duration::from_secs(1) {
            (self.since, self.looked_at) = (now, 0);
        }
        self.looked_at += 1;
        self.looked_at <= ANSWERS_PER_SECOND
    }
}

/// What both ends must agree on: the layout, the cipher, what the transfer is about, and who is which end.
fn prologue(setup: &HandshakeSetup<'_>) -> Vec<u8> {
    let HandshakeSetup { role, public, agreement, local_index, remote_index, .. } = *setup;
    let (local, remote) = ((public, local_index), (&agreement.remote, remote_index));
    let (initiator, responder) = match role {
        Role::Initiator => (local, remote),
        Role::Responder => (remote, local),
    };
    let mut prologue = b"toom peers ".to_vec();
    prologue.push(PACKET_VERSION);
    prologue.extend_from_slice(agreement.suite.noise_name().as_bytes());
    prologue.extend_from_slice(&agreement.context);
    for (key, index) in [initiator, responder] {
        prologue.extend_from_slice(&key.0);
        prologue.extend_from_slice(&index.0.to_be_bytes());
    }
    prologue
}

/// A handshake datagram.
fn datagram(header: &HandshakeHeader, message: &[u8], mac: &HandshakeMac) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(HANDSHAKE_BYTES);
    datagram.extend_from_slice(&header.encode());
    datagram.extend_from_slice(message);
    datagram.resize(HANDSHAKE_BYTES - HANDSHAKE_MAC_BYTES, 0);
    let mac = mac.of(&datagram);
    datagram.extend_from_slice(&mac);
    datagram
}

#[cfg(test)]
mod tests;
