//! What one input leads to, as it is gathered.

use super::activity::Activity;
use super::io::Output;
use crate::id::{ConnectionId, RequestId};
use crate::time::{Instant, Timestamp};
use crate::wire::message::{Event, Reply, ReplyBody, ServerMessage};

/// The clocks of one call of `handle`, and where its consequences go.
pub(super) struct Turn<'a> {
    /// The monotonic clock.
    pub(super) now: Instant,
    /// The wall clock, as it was last told.
    pub(super) wall: Timestamp,
    /// Whether the log is being read back: then nobody is there to be told anything.
    pub(super) recovering: bool,
    /// The consequences, in order.
    pub(super) out: &'a mut Vec<Output>,
}

impl Turn<'_> {
    /// Tells `to` what others did.
    pub(super) fn event(&mut self, to: Vec<ConnectionId>, event: Event) {
        if !to.is_empty() {
            self.out.push(Output::Send { to, message: ServerMessage::Event(event) });
        }
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, to: ConnectionId, id: RequestId, body: ReplyBody) {
        self.out.push(Output::Send { to: vec![to], message: ServerMessage::Reply(Reply { id, body }) });
    }

    /// Tells the operator.
    pub(super) fn activity(&mut self, activity: Activity) {
        if !self.recovering {
            self.out.push(Output::Activity(activity));
        }
    }
}
