//! What a client does for its transfers.

use std::net::SocketAddr;

use toom_core::client::io::Input;
use toom_core::transfer::io::{Burst, Output};

use super::super::disk::Work;
use super::super::network::Context;
use super::{ClientNode, Happened};
use crate::invariants::Observation;

impl ClientNode {
    /// `payload` is that of the datagram at hand.
    pub(super) fn carry_out_transfer(&mut self, ctx: &mut Context<'_>, output: Output, payload: &[u8]) {
        match output {
            Output::Handshake { to, datagram, .. } => self.send(ctx, to, &datagram),
            Output::Listen { index, transfer, keys } => self.keys.listen(index, transfer, &keys),
            Output::Forget { index, transfer } => self.keys.forget(index, transfer),
            // Nothing stays of a partial file here, so nobody has anything that could be compared.
            Output::Compare { .. } | Output::Restart { .. } => unreachable!("nobody has a part of a file"),
            Output::Survey { .. } | Output::CompareParts { .. } | Output::LeaveOut { .. } => {
                unreachable!("nobody sends several files as one")
            }
            Output::Release { .. } => unreachable!("nobody sends a stream"),
            Output::Read { transfer, offset, length, slot } => {
                self.disk.ask(ctx.now, Work::Read { transfer, offset, length, slot });
            }
            Output::Burst(burst) => self.send_burst(ctx, &burst),
            Output::Write { transfer, offset, range } => {
                let bytes = range.len() as u64;
                match self.disk.write(transfer, offset, &payload[range]) {
                    Ok(()) => self.disk.ask(ctx.now, Work::Written { transfer, bytes }),
                    Err(reason) => self.storage_failed(transfer, reason),
                }
            }
            Output::Verify { transfer } => self.disk.ask(ctx.now, Work::Verify { transfer }),
            Output::Publish { transfer } => self.disk.ask(ctx.now, Work::Publish { transfer }),
            Output::Close { transfer, .. } => {
                self.running.remove(&transfer);
                self.disk.close(transfer);
            }
            Output::Report(report) => self.inbox.push_back(Happened::ForClient(Input::Report(report))),
        }
    }

    fn send_burst(&mut self, ctx: &mut Context<'_>, burst: &Burst) {
        let mut bytes = Vec::new();
        let disk = &self.disk;
        self.keys.seal(burst, |slot| disk.slot(burst.transfer, slot), &mut bytes);
        assert_eq!(bytes.chunks(burst.segment_size).len(), burst.packets.len(), "packets are of the segment's size");
        bytes.chunks(burst.segment_size).for_each(|datagram| self.send(ctx, burst.to, datagram));
    }

    fn send(&mut self, ctx: &mut Context<'_>, to: SocketAddr, datagram: &[u8]) {
        ctx.observe(&Observation::DatagramSent { client: self.number, to, datagram });
        ctx.network.send(ctx.now, self.address, to, datagram);
    }
}
