//! Where datagrams go: nobody can be made to flood somebody else.
//!
//! The contract (after RFC 9000, sections 8 and 9): an address is proven once something has come back that only the
//! other end can say, who received what was sent there: the answer of a handshake, the first packet from where a
//! handshake was answered, or the response to a challenge. To one that is not proven go no file bytes, and no more
//! bytes than came from it. Only the address that the server told may be asked besides, by who offered, a few times:
//! one of two ends must begin. Everything but challenges goes to the address that was proven last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use toom_core::client::io::Side;
use toom_core::id::{OfferId, PeerIndex};
use toom_core::peer::Packet;
use toom_core::transfer::io::{Burst, Input, Output};
use toom_core::wire::packet::{HandshakeHeader, PACKET_OVERHEAD};
use toom_core::wire::peer_frame::{Frame, Frames};

use super::{Broken, Checker, Moment, Observation, ensure};

/// Nobody is flooded.
pub const UNPROVEN_GETS_LITTLE: &str =
    "addresses: one that is not proven gets no more bytes than came from it, and a few handshakes";
/// Nor told anything.
pub const UNPROVEN_GETS_NO_FILE: &str = "addresses: file bytes go only to one that is proven";
/// Nobody else is involved.
pub const GOES_TO_THE_OTHER_END: &str =
    "addresses: datagrams go only where the server said or where the other end's came from";
/// An end is followed only where it answers.
pub const MOVES_WITH_A_PROOF: &str = "addresses: all but challenges goes to the address that was proven last";

/// Handshakes to the address that the server told: at 0, 0.3 and 0.9 s, and then one a second until the other end counts
/// as silent after 30 s, or for 3 s more if the transfer is cancelled right before that: the other end can be told so
/// only once it has answered.
pub const MOST_HANDSHAKES: u32 = 35;

/// Watches where datagrams go.
#[derive(Debug, Default)]
pub struct Addresses {
    ends: BTreeMap<(usize, OfferId), End>,
    listening: BTreeMap<(usize, PeerIndex), OfferId>,
}

/// One end of a transfer.
#[derive(Debug)]
struct End {
    index: PeerIndex,
    told: SocketAddr,
    offered: bool,
    handshakes: u32,
    accounts: BTreeMap<SocketAddr, Account>,
    /// Where a handshake was answered, until something came from one of them.
    answered: BTreeSet<SocketAddr>,
    /// Where each challenge was sent.
    challenges: BTreeMap<[u8; 8], SocketAddr>,
    proofs: u64,
    /// Where the last packet went, and which proof that address had.
    follows: Option<(SocketAddr, u64)>,
}

#[derive(Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    /// The number of its last proof.
    proof: Option<u64>,
}

impl Checker for Addresses {
    fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::TransfersHear(client, Input::Start(start)) => {
                let offered = matches!(start.side, Side::Send { .. });
                let end = End::new(start.local_index, start.remote, offered);
                self.ends.entry((*client, start.transfer)).or_insert(end);
                self.listening.insert((*client, start.local_index), start.transfer);
            }
            Observation::TransfersHear(client, Input::Datagram { from, header, payload, .. }) => {
                if let Some(end) = self.end_at(*client, header.index) {
                    end.hears(*from, payload);
                }
            }
            Observation::TransfersHear(client, Input::Handshake { from, datagram }) => {
                let header = HandshakeHeader::decode(datagram).ok();
                if let Some(end) = header.and_then(|header| self.end_at(*client, header.receiver)) {
                    end.account(*from).received += datagram.len() as u64;
                }
            }
            Observation::TransfersSay(client, output) => return self.say(*client, output),
            Observation::ClientEnds(client) => {
                self.ends.retain(|(owner, _), _| owner != client);
                self.listening.retain(|(owner, _), _| owner != client);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Addresses {
    fn end_at(&mut self, client: usize, index: PeerIndex) -> Option<&mut End> {
        let transfer = self.listening.get(&(client, index))?;
        self.ends.get_mut(&(client, *transfer))
    }

    fn say(&mut self, client: usize, output: &Output) -> Result<(), Broken> {
        match output {
            Output::Handshake { transfer, to, datagram } => {
                let end = self.ends.get_mut(&(client, *transfer));
                end.map_or(Ok(()), |end| end.shakes_hands(client, *to, datagram.len()))
            }
            Output::Listen { transfer, .. } => {
                if let Some(end) = self.ends.get_mut(&(client, *transfer)).filter(|end| end.offered) {
                    end.prove(end.told);
                }
                Ok(())
            }
            Output::Burst(burst) => {
                self.ends.get_mut(&(client, burst.transfer)).map_or(Ok(()), |end| end.sends(client, burst))
            }
            Output::Forget { index, transfer } => {
                self.ends.remove(&(client, *transfer));
                self.listening.remove(&(client, *index));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl End {
    fn new(index: PeerIndex, told: SocketAddr, offered: bool) -> End {
        End {
            index,
            told,
            offered,
            handshakes: 0,
            accounts: BTreeMap::new(),
            answered: BTreeSet::new(),
            challenges: BTreeMap::new(),
            proofs: 0,
            follows: None,
        }
    }

    fn account(&mut self, address: SocketAddr) -> &mut Account {
        self.accounts.entry(address).or_default()
    }

    fn prove(&mut self, address: SocketAddr) {
        self.proofs += 1;
        self.account(address).proof = Some(self.proofs);
    }

    fn hears(&mut self, from: SocketAddr, payload: &[u8]) {
        self.account(from).received += (payload.len() + PACKET_OVERHEAD) as u64;
        if self.answered.contains(&from) {
            self.answered.clear();
            self.prove(from);
        }
        for frame in Frames::new(payload) {
            if let Ok(Frame::PathResponse(token)) = frame
                && let Some(to) = self.challenges.get(&token).copied()
            {
                self.prove(to);
            }
        }
    }

    fn shakes_hands(&mut self, client: usize, to: SocketAddr, bytes: usize) -> Result<(), Broken> {
        if self.offered && to == self.told {
            self.handshakes += 1;
        } else {
            if self.proofs == 0 {
                self.answered.insert(to);
            }
            self.account(to).sent += bytes as u64;
        }
        self.gets_little(client, to)
    }

    fn sends(&mut self, client: usize, burst: &Burst) -> Result<(), Broken> {
        let to = burst.to;
        let whom = || format!("client {client} to {to} for transfer {} at index {}", burst.transfer, self.index);
        ensure(to == self.told || self.accounts.contains_key(&to), GOES_TO_THE_OTHER_END, whom)?;
        for packet in &burst.packets {
            let challenge = self.challenged(to, packet);
            let Some(proof) = self.account(to).proof else {
                ensure(packet.data.is_none(), UNPROVEN_GETS_NO_FILE, || format!("client {client} to {to}"))?;
                let bytes = PACKET_OVERHEAD + packet.frames.len() + packet.padding;
                self.account(to).sent += bytes as u64;
                self.gets_little(client, to)?;
                ensure(challenge, MOVES_WITH_A_PROOF, || format!("client {client} to {to}, which is not proven"))?;
                continue;
            };
            let before = self.follows.replace((to, proof));
            let follows = before.is_none_or(|(address, since)| address == to || proof > since);
            ensure(follows, MOVES_WITH_A_PROOF, || format!("client {client} to {to}, after {before:?}"))?;
        }
        Ok(())
    }

    /// Whether `packet` challenges `to`: what had been proven before that is to be proven again.
    fn challenged(&mut self, to: SocketAddr, packet: &Packet) -> bool {
        let challenge = Frames::new(&packet.frames).find_map(|frame| match frame {
            Ok(Frame::PathChallenge(token)) => Some(token),
            _ => None,
        });
        if let Some(token) = challenge {
            self.account(to).proof = None;
            self.challenges.insert(token, to);
        }
        challenge.is_some()
    }

    fn gets_little(&mut self, client: usize, to: SocketAddr) -> Result<(), Broken> {
        let handshakes = self.handshakes;
        let account = self.account(to);
        let few = handshakes <= MOST_HANDSHAKES && account.sent <= account.received;
        ensure(few, UNPROVEN_GETS_LITTLE, || format!("client {client} to {to}: {handshakes} handshakes, {account:?}"))
    }
}

#[cfg(test)]
mod tests;
