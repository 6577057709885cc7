//! `toom recv`: accepts the first offer, and is done when the file has its name.
//!
//! Starting it is the consent, so nobody is asked. Only the first offer is taken, of one person if that was said; all
//! others are rejected, so that their senders do not wait for somebody who will not answer. The exception is the same
//! again: a sender that was killed and begins anew comes before this end knows that the first one is gone, and is
//! accepted as soon as it does, so that the file goes on where it was. Whoever has another key than before is not
//! accepted without being looked at, and there is nobody here to look: it ends with [`Exit::KeyChanged`].

use std::io;

use toom_core::client::command::Command;
use toom_core::client::event::{Direction, Event, Failure, Transfer, TransferState};
use toom_core::client::io::Destination;
use toom_core::id::OfferId;
use toom_core::name::UserName;
use toom_core::text::FileLabel;

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
    taken: Option<Taken>,
    /// The same again, which waits until what was taken has failed.
    again: Option<OfferId>,
}

/// An offer that was accepted.
struct Taken {
    id: OfferId,
    from: UserName,
    name: FileLabel,
    /// Whether it has become a transfer.
    started: bool,
}

impl Recv {
    /// Takes what anybody offers, or only somebody.
    pub(super) fn new(from: Option<UserName>, into: Destination) -> Recv {
        Recv { from, into, taken: None, again: None }
    }

    fn is_wanted(&self, user: &UserName) -> bool {
        self.taken.is_none() && self.from.as_ref().is_none_or(|from| from == user)
    }

    /// Whether this is on its way from the same user already. Of a stream nobody can send the rest.
    fn is_again(&self, user: &UserName, name: &FileLabel) -> bool {
        let same = |taken: &Taken| taken.from == *user && taken.name == *name;
        self.into == Destination::File && self.taken.as_ref().is_some_and(same)
    }

    fn is_stream(&self, transfer: &Transfer) -> bool {
        self.into == Destination::Stream || transfer.total.is_none()
    }

    /// Whether an error can be the answer to the acceptance.
    fn has_started(&self) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.started)
    }

    fn accept(&mut self, offer: OfferId, from: UserName, name: FileLabel) -> Step {
        self.taken = Some(Taken { id: offer, from, name, started: false });
        Step::Do(match self.into {
            Destination::File => Command::Accept { offer },
            Destination::Stream => Command::AcceptStream { offer },
        })
    }

    fn transfer(&mut self, transfer: &Transfer, screen: &Screen) -> io::Result<Step> {
        match (&transfer.state, &mut self.taken) {
            (TransferState::Starting, Some(taken)) => taken.started = true,
            (TransferState::Done { saved_as, .. }, _) => {
                if let Some(name) = saved_as.as_ref().filter(|_| !screen.is_json() && self.into == Destination::File) {
                    output::line(name)?;
                }
                return Ok(Step::End(Exit::Done));
            }
            (TransferState::Failed(failure), _) => {
                return Ok(match self.again.take() {
                    Some(offer) => self.accept(offer, transfer.peer.clone(), transfer.name.clone()),
                    None => Step::End(verdict::of_transfer(failure, transfer, self.is_stream(transfer))),
                });
            }
            _ => {}
        }
        Ok(Step::Wait)
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
                if !held && self.again.is_none() && self.is_again(from, name) {
                    screen.note(&format!("{what} again, which is accepted if what is on its way fails."));
                    self.again = Some(*id);
                    Step::Wait
                } else if !self.is_wanted(from) {
                    screen.note(&format!("{what}, which is rejected."));
                    Step::Do(Command::Reject { offer: *id })
                } else if *held {
                    output::note(&format!("{what}, which is not accepted: their key has changed."));
                    Step::End(Exit::KeyChanged)
                } else {
                    screen.note(&format!("{what}, which is accepted."));
                    self.accept(*id, from.clone(), name.clone())
                }
            }
            Event::PeerKeyChanged { user, verified: true, .. } if self.is_wanted(user) => Step::End(Exit::KeyChanged),
            Event::Transfer(transfer @ Transfer { direction: Direction::In, .. }) => match &self.taken {
                Some(taken) if taken.id == transfer.id => self.transfer(transfer, screen)?,
                _ => {
                    // It was taken back before its turn came.
                    self.again = self.again.filter(|again| *again != transfer.id);
                    Step::Wait
                }
            },
            // It was taken back before it was answered.
            Event::Error(Failure::NoSuchOffer) if !self.has_started() => {
                self.taken = None;
                Step::Wait
            }
            Event::Error(failure) if !self.has_started() => Step::End(verdict::of_command(failure)),
            _ => Step::Wait,
        })
    }
}
