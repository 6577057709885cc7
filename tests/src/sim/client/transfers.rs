//! What a client does for its transfers.

use toom_core::client::io::Input;
use toom_core::peer::build_burst;
use toom_core::secure::{OpeningKey, SealingKey};
use toom_core::transfer::io::{Burst, Output};

use super::super::disk::Work;
use super::super::network::Context;
use super::{ClientNode, Happened};
use crate::invariants::Observation;

impl ClientNode {
    /// `payload` is that of the datagram at hand.
    pub(super) fn carry_out_transfer(&mut self, ctx: &mut Context<'_>, output: Output, payload: &[u8]) {
        match output {
            Output::Listen { index, secret, role, transfer } => {
                self.opening.insert(index, OpeningKey::new(&secret, role));
                self.sealing.insert(transfer, SealingKey::new(&secret, role));
            }
            Output::Forget { index, transfer } => {
                self.opening.remove(&index);
                self.sealing.remove(&transfer);
            }
            Output::Read { transfer, offset, length, slot } => {
                self.disk.ask(ctx.now, Work::Read { transfer, offset, length, slot });
            }
            Output::Burst(burst) => self.send(ctx, &burst),
            Output::Write { transfer, offset, range } => {
                let bytes = range.len() as u64;
                match self.disk.write(transfer, offset, &payload[range]) {
                    Ok(()) => self.disk.ask(ctx.now, Work::Written { transfer, bytes }),
                    Err(reason) => self.storage_failed(transfer, reason),
                }
            }
            Output::Verify { transfer } => self.disk.ask(ctx.now, Work::Verify { transfer }),
            Output::Publish { transfer } => self.disk.ask(ctx.now, Work::Publish { transfer }),
            Output::Close { transfer } => {
                self.running.remove(&transfer);
                self.disk.close(transfer);
            }
            Output::Report(report) => self.inbox.push_back(Happened::ForClient(Input::Report(report))),
        }
    }

    fn send(&mut self, ctx: &mut Context<'_>, burst: &Burst) {
        let Some(key) = self.sealing.get(&burst.transfer) else {
            panic!("a burst of {} without keys", burst.transfer);
        };
        let mut bytes = Vec::new();
        build_burst(burst.index, &burst.packets, key, |slot| self.disk.slot(burst.transfer, slot), &mut bytes);
        assert_eq!(bytes.chunks(burst.segment_size).len(), burst.packets.len(), "packets are of the segment's size");
        for datagram in bytes.chunks(burst.segment_size) {
            let (client, to) = (self.number, burst.to);
            ctx.observe(&Observation::DatagramSent { client, to, datagram });
            ctx.network.send(ctx.now, self.address, burst.to, datagram);
        }
    }
}
