//! How the server's process ends.

use super::super::fault::FaultKind;
use super::super::network::{Context, Toward};
use super::super::store::{Durable, Remains};
use super::ServerNode;
use crate::invariants::Observation;

impl ServerNode {
    /// The end of the process: every connection is closed; what was not committed is lost.
    pub fn stop(self, ctx: &mut Context<'_>) -> Durable {
        self.end(ctx, 0).durable
    }

    /// The process will die after so many more effects; so many proposals under way are durable then.
    pub fn crash_after(&mut self, effects: u32, survive: u32) {
        self.countdown.start(effects);
        self.survive = survive;
    }

    /// It will not.
    pub fn cancel_crash(&mut self) {
        self.countdown.cancel();
    }

    /// Whether the process has died: nothing of it may be used any more but [`Self::bury`].
    pub fn is_dead(&self) -> bool {
        self.countdown.is_over()
    }

    /// The process has died: every connection is gone, with all that was not written yet.
    pub fn bury(self, ctx: &mut Context<'_>) -> Durable {
        let (midway, survive) = (self.died_midway, self.survive);
        let remains = self.end(ctx, survive);
        let (survivors, lost) = (remains.survivors.len(), remains.lost);
        ctx.note(format_args!("the server died; of the proposals under way {survivors} are durable, {lost} lost"));
        ctx.network.count(FaultKind::ServerCrash);
        if midway {
            ctx.network.count(FaultKind::ServerCrashMidway);
        }
        for _ in 0..lost {
            ctx.network.count(FaultKind::LostUnsynced);
        }
        if survivors > 0 && lost > 0 {
            ctx.network.count(FaultKind::TornTail);
        }
        remains.durable
    }

    fn end(self, ctx: &mut Context<'_>, survive: u32) -> Remains {
        for connection in self.connections.keys() {
            ctx.network.end(ctx.now, *connection, Toward::Client);
        }
        let remains = self.store.end(survive);
        for committed in &remains.survivors {
            ctx.observe(&Observation::Durable(committed));
        }
        ctx.observe(&Observation::ServerEnds(&self.machine));
        remains
    }
}
