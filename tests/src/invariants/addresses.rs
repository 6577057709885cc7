//! Where datagrams go: nobody can be made to flood somebody else.
//!
//! The contract (after RFC 9000, section 8): an address is proven once a challenge that was sent there has come
//! back. To one that is not proven go no file bytes, and at most three times the bytes that came from it. Only
//! the address that the server told may be probed besides, a few times: one of two ends must begin, and both
//! must if both are behind a firewall.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use toom_core::id::{OfferId, PeerIndex};
use toom_core::peer::Packet;
use toom_core::transfer::io::{Burst, Input, Output};
use toom_core::wire::packet::PACKET_OVERHEAD;
use toom_core::wire::peer_frame::{Frame, Frames};

use super::{Broken, Checker, Moment, Observation, ensure};

/// Nobody is flooded.
pub const UNPROVEN_GETS_LITTLE: &str =
    "addresses: one that is not proven gets at most three times the bytes that came from it, and a few probes";
/// Nor told anything.
pub const UNPROVEN_GETS_NO_FILE: &str = "addresses: file bytes go only to one that is proven";
/// Nobody else is involved.
pub const GOES_TO_THE_OTHER_END: &str =
    "addresses: datagrams go only where the server said or where the other end's came from";
/// An address that is proven is kept.
pub const PROVEN_IS_KEPT: &str = "addresses: once one is proven, datagrams go to no other";

/// How much more than it gave.
const AMPLIFICATION: u64 = 3;

/// Probes of the address that the server told: about one a second until the other end counts as silent after
/// 30 s, and those between which the interval doubles until it is one.
pub const MOST_PROBES: u32 = 64;

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
    probes: u32,
    accounts: BTreeMap<SocketAddr, Account>,
    /// Where each challenge was sent.
    challenges: BTreeMap<[u8; 8], SocketAddr>,
    /// The first address that was used once it was proven.
    kept: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    proven: bool,
}

impl Checker for Addresses {
    fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::TransfersHear(client, Input::Start(start)) => {
                let (index, told) = (start.local_index, start.remote);
                self.ends.insert((*client, start.transfer), End::new(index, told));
                self.listening.insert((*client, index), start.transfer);
            }
            Observation::TransfersHear(client, Input::Datagram { from, header, payload }) => {
                let transfer = self.listening.get(&(*client, header.index));
                if let Some(end) = transfer.and_then(|id| self.ends.get_mut(&(*client, *id))) {
                    end.hears(*from, payload);
                }
            }
            Observation::TransfersSay(client, Output::Burst(burst)) => {
                if let Some(end) = self.ends.get_mut(&(*client, burst.transfer)) {
                    return end.sends(*client, burst);
                }
            }
            Observation::TransfersSay(client, Output::Forget { index, transfer }) => {
                self.ends.remove(&(*client, *transfer));
                self.listening.remove(&(*client, *index));
            }
            Observation::ClientEnds(client) => {
                self.ends.retain(|(owner, _), _| owner != client);
                self.listening.retain(|(owner, _), _| owner != client);
            }
            _ => {}
        }
        Ok(())
    }
}

impl End {
    fn new(index: PeerIndex, told: SocketAddr) -> End {
        let accounts = [(told, Account::default())].into();
        End { index, told, probes: 0, accounts, challenges: BTreeMap::new(), kept: None }
    }

    fn hears(&mut self, from: SocketAddr, payload: &[u8]) {
        self.accounts.entry(from).or_default().received += (payload.len() + PACKET_OVERHEAD) as u64;
        for frame in Frames::new(payload) {
            if let Ok(Frame::PathResponse(token)) = frame
                && let Some(account) = self.challenges.get(&token).and_then(|to| self.accounts.get_mut(to))
            {
                account.proven = true;
            }
        }
    }

    fn sends(&mut self, client: usize, burst: &Burst) -> Result<(), Broken> {
        let to = burst.to;
        let whom = || format!("client {client} to {to} for transfer {} at index {}", burst.transfer, self.index);
        ensure(self.accounts.contains_key(&to), GOES_TO_THE_OTHER_END, whom)?;
        ensure(self.kept.is_none_or(|kept| kept == to), PROVEN_IS_KEPT, || format!("{}, not {:?}", whom(), self.kept))?;
        for packet in &burst.packets {
            let challenge = self.challenged(to, packet);
            if self.accounts.get(&to).is_some_and(|account| account.proven) {
                self.kept = Some(to);
                continue;
            }
            ensure(packet.data.is_none(), UNPROVEN_GETS_NO_FILE, || format!("client {client} to {to}"))?;
            self.sends_unproven(client, to, packet, challenge)?;
        }
        Ok(())
    }

    /// Whether `packet` challenges `to`: what had been proven before that is to be proven again.
    fn challenged(&mut self, to: SocketAddr, packet: &Packet) -> bool {
        let challenge = Frames::new(&packet.frames).find_map(|frame| match frame {
            Ok(Frame::PathChallenge(token)) => Some(token),
            _ => None,
        });
        if let (Some(token), Some(account)) = (challenge, self.accounts.get_mut(&to)) {
            account.proven = false;
            self.challenges.insert(token, to);
        }
        challenge.is_some()
    }

    fn sends_unproven(
        &mut self,
        client: usize,
        to: SocketAddr,
        packet: &Packet,
        challenge: bool,
    ) -> Result<(), Broken> {
        let Some(account) = self.accounts.get_mut(&to) else { return Ok(()) };
        if challenge && to == self.told {
            self.probes += 1;
        } else {
            account.sent += (PACKET_OVERHEAD + packet.frames.len() + packet.padding) as u64;
        }
        let few = self.probes <= MOST_PROBES && account.sent <= AMPLIFICATION * account.received;
        ensure(few, UNPROVEN_GETS_LITTLE, || format!("client {client} to {to}: {} probes and {account:?}", self.probes))
    }
}

#[cfg(test)]
mod tests;
