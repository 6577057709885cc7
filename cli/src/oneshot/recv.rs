//! `toom recv`: accepts the first offer, and is done when the file has its name.
//!
//! Starting it is the consent, so nobody is asked. Only the first offer is taken, of one person if that was said; all
//! others are rejected, so that their senders do not wait for somebody who will not answer. Whoever has another key
//! than before is not accepted without being looked at, and there is nobody here to look: it ends with
//! [`Exit::KeyChanged`].

use std::io;

use toom_core::client::command::Command;
use toom_core::client::event::{Direction, Event, Failure, Transfer, TransferState};
use toom_core::client::io::Destination;
use toom_core::id::OfferId;
use toom_core::name::UserName;

use super::screen::Screen;
use super::session::{Step, Task};
use super::verdict;
use crate::exit::Exit;
use crate::line::human::contents;
use crate::output;

/// Whose offer is taken, and which one it was.
pub(super) struct Recv {
    from: Option<UserName>,
    into: Destination,
    taken: Option<OfferId>,
    /// Whether what was taken has become a transfer.
    started: bool,
}

impl Recv {
    /// Takes what anybody offers, or only somebody.
    pub(super) fn new(from: Option<UserName>, into: Destination) -> Recv {
        Recv { from, into, taken: None, started: false }
    }

    fn is_wanted(&self, user: &UserName) -> bool {
        self.taken.is_none() && self.from.as_ref().is_none_or(|from| from == user)
    }

    fn is_stream(&self, transfer: &Transfer) -> bool {
        self.into == Destination::Stream || transfer.total.is_none()
    }

    fn transfer(&mut self, transfer: &Transfer, screen: &Screen) -> io::Result<Step> {
        Ok(match &transfer.state {
            TransferState::Starting => {
                self.started = true;
                Step::Wait
            }
            TransferState::Done { saved_as, .. } => {
                if let Some(name) = saved_as.as_ref().filter(|_| !screen.is_json() && self.into == Destination::File) {
                    output::line(name)?;
                }
                Step::End(Exit::Done)
            }
            TransferState::Failed(failure) => {
                Step::End(verdict::of_transfer(failure, transfer, self.is_stream(transfer)))
            }
            _ => Step::Wait,
        })
    }
}

impl Task for Recv {
    fn begin(&mut self, screen: &Screen) -> Step {
        match &self.from {
            Some(from) => screen.note(&format!("Waiting for a file from {from}.")),
            None => screen.note("Waiting for a file."),
        }
        Step::Wait
    }

    fn event(&mut self, event: &Event, screen: &Screen) -> io::Result<Step> {
        Ok(match event {
            Event::Offer { id, from, name, bytes, entries, held } => {
                let what = format!("{from} offers {} ({})", name.as_str(), contents(*bytes, *entries));
                if !self.is_wanted(from) {
                    screen.note(&format!("{what}, which is rejected."));
                    Step::Do(Command::Reject { offer: *id })
                } else if *held {
                    output::note(&format!("{what}, which is not accepted: their key has changed."));
                    Step::End(Exit::KeyChanged)
                } else {
                    screen.note(&format!("{what}, which is accepted."));
                    self.taken = Some(*id);
                    Step::Do(match self.into {
                        Destination::File => Command::Accept { offer: *id },
                        Destination::Stream => Command::AcceptStream { offer: *id },
                    })
                }
            }
            Event::PeerKeyChanged { user, verified: true, .. } if self.is_wanted(user) => Step::End(Exit::KeyChanged),
            Event::Transfer(transfer @ Transfer { direction: Direction::In, .. })
                if self.taken == Some(transfer.id) =>
            {
                self.transfer(transfer, screen)?
            }
            // It was taken back before it was answered.
            Event::Error(Failure::NoSuchOffer) if !self.started => {
                self.taken = None;
                Step::Wait
            }
            Event::Error(failure) if !self.started => Step::End(verdict::of_command(failure)),
            _ => Step::Wait,
        })
    }
}
