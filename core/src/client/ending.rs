//! The session ends: logged out, finished, or lost.
//!
//! A logout first waits for the answers of the commands before it, then ends all transfers, then asks the
//! server, and each of these steps has a time limit, so that a server that is silent keeps nobody from leaving.

use core::time::Duration;

use super::command::Command;
use super::event::{Event, Failure, TransferFailure};
use super::io::Output;
use super::requests::{Asked, Wanted};
use super::session::{Client, Connection};
use crate::time::Instant;
use crate::wire::message::RequestBody;

/// How long a logout waits for the next word of a server that owes answers.
pub(super) const ANSWERS_PATIENCE: Duration = Duration::from_secs(10);
/// How long transfers may take to end.
pub(super) const TRANSFERS_PATIENCE: Duration = Duration::from_secs(1);
/// How long a transfer may go on after its other end has left the conference: what is complete ends well.
pub(super) const DESERTED_PATIENCE: Duration = Duration::from_secs(2);
/// How long the server may take to say goodbye.
pub(super) const BYE_PATIENCE: Duration = Duration::from_secs(5);

/// A step of a logout, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Commands before the logout are to be answered.
    Answers { until: Instant },
    /// Transfers are to end, and the client's own requests to be answered.
    Transfers { until: Instant },
    /// The server is to say goodbye.
    Bye { until: Instant },
}

/// Whether what was missed has come, before somebody who is finishing leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CatchingUp {
    #[default]
    No,
    /// The server is to say so.
    Asked,
    Done,
}

impl Ending {
    pub(super) fn until(&self) -> Instant {
        match *self {
            Ending::Answers { until } | Ending::Transfers { until } | Ending::Bye { until } => until,
        }
    }

    /// The server said something, so that it may still answer.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Ending::Answers { until } = self {
            *until = now + ANSWERS_PATIENCE;
        }
    }
}

impl Client {
    /// Whether the logout has begun, so that no command starts any more.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.ending, Some(Ending::Transfers { .. } | Ending::Bye { .. }))
    }

    /// Whether the server was asked to end the session: it hears nothing more.
    pub(super) fn is_saying_bye(&self) -> bool {
        matches!(self.ending, Some(Ending::Bye { .. }))
    }

    /// Gives up what has taken too long.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.give_up_deserted(now, out);
        self.expire_connection(now, out);
        match self.ending {
            Some(ending) if now < ending.until() => {}
            Some(Ending::Answers { .. }) if !self.reconnecting.is_online() => {
                self.end_while_away("nobody waits for the server any more".to_owned(), out);
            }
            Some(Ending::Answers { .. }) => {
                // The logout that has waited.
                self.waiting.pop_front();
                self.log_out(now, out);
            }
            Some(Ending::Transfers { .. }) => self.say_bye(now, out),
            Some(Ending::Bye { .. }) => self.bye(out),
            None => {}
        }
    }

    /// Begins the logout: commands that came after it are refused, and transfers end.
    pub(super) fn log_out(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.refuse_waiting(out);
        self.ending = Some(Ending::Transfers { until: now + TRANSFERS_PATIENCE });
        self.end_all_transfers(out);
    }

    /// Refuses the commands that came after a logout.
    pub(super) fn refuse_waiting(&mut self, out: &mut Vec<Output>) {
        let after = self.waiting.drain(..).map(|_| Output::Event(Event::Error(Failure::NotLoggedIn)));
        out.extend(after);
    }

    /// Whether somebody who is logged in wants to leave as soon as everything before that is done.
    pub(super) fn is_logout_next(&self) -> bool {
        matches!(self.waiting.front(), Some(Command::Logout)) && self.user.is_some()
    }

    /// Whether somebody wants to leave, and what they asked before that waits for a connection.
    fn is_logout_stuck(&self) -> bool {
        !self.reconnecting.is_online() && self.waiting.contains(&Command::Logout) && self.user.is_some()
    }

    /// The connection is there again: the commands before a logout start now, and it waits for their answers.
    pub(super) fn wait_anew(&mut self) {
        if matches!(self.ending, Some(Ending::Answers { .. })) && !self.is_logout_next() {
            self.ending = None;
        }
    }

    /// Takes the next step towards the end, if it is time for it.
    pub(super) fn go_on_ending(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.ending {
            None if self.is_logout_next() || self.is_logout_stuck() => {
                self.ending = Some(Ending::Answers { until: now + ANSWERS_PATIENCE });
            }
            None if self.finishing => self.finish(now, out),
            Some(Ending::Transfers { .. }) if self.transfers.is_empty() && self.requests.is_empty() => {
                self.say_bye(now, out);
            }
            _ => {}
        }
    }

    /// Logs out if nothing that was asked is left to do.
    fn finish(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.waiting.is_empty() || !self.is_idle() || !self.reconnecting.is_online() {
            return;
        }
        if self.user.is_none() {
            self.lost("nobody is logged in".into(), out);
            return out.push(Output::Disconnect);
        }
        for offer in self.transfers.waiting() {
            self.refuse(offer);
        }
        self.requests.send_own(out);
        if !self.transfers.is_empty() {
            return;
        }
        match self.catching_up {
            CatchingUp::No => {
                self.requests.ask(RequestBody::CatchUp, Asked::CatchUp, out);
                self.catching_up = CatchingUp::Asked;
            }
            CatchingUp::Asked => {}
            CatchingUp::Done => {
                self.log_out(now, out);
                self.go_on_ending(now, out);
            }
        }
    }

    fn say_bye(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.abandon_transfers(TransferFailure::Cancelled, out);
        // What was shown is not to come again.
        self.confirm_all();
        self.requests.send_last(out);
        self.requests.ask(RequestBody::Logout, Asked::Logout, out);
        self.ending = Some(Ending::Bye { until: now + BYE_PATIENCE });
    }

    /// The server has said goodbye, or nothing.
    pub(super) fn bye(&mut self, out: &mut Vec<Output>) {
        self.lost("logged out".into(), out);
        out.push(Output::Disconnect);
    }

    /// The connection is gone, or of no use any more: answers everything, then shows the last event.
    pub(super) fn lost(&mut self, reason: String, out: &mut Vec<Output>) {
        self.end(reason, self.is_leaving(), false, out);
    }

    /// Answers everything, then shows the last event: a goodbye if it ends `well`.
    pub(super) fn end(&mut self, reason: String, well: bool, server_key_changed: bool, out: &mut Vec<Output>) {
        self.connection = Connection::Over;
        self.ending = None;
        let lost = Event::Error(Failure::ConnectionLost);
        self.answers.end(&lost, out);
        for asked in self.requests.clear() {
            let is_waited_for = match asked {
                Asked::Login | Asked::ActiveUsers | Asked::Rooms => true,
                Asked::History(_) | Asked::Latest(_) | Asked::Find => true,
                Asked::Devices(wanted) => matches!(wanted, Wanted::Theirs { .. } | Wanted::Own { .. }),
                _ => false,
            };
            if is_waited_for {
                out.push(Output::Event(lost.clone()));
            }
        }
        self.history = None;
        self.offering_failed(Failure::ConnectionLost, out);
        out.extend(self.waiting.drain(..).map(|_| Output::Event(lost.clone())));
        let why = if well { TransferFailure::Cancelled } else { TransferFailure::ServerLost };
        self.abandon_transfers(why, out);
        out.push(Output::Event(match self.user.take() {
            Some(user) if well => Event::Bye { user },
            user => Event::ConnectionLost { reason, was_logged_in: user.is_some(), server_key_changed },
        }));
    }
}
