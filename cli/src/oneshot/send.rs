//! `toom send`: offers what it sends to everybody it is for, and is done when the last of them has verified it. `-` is
//! standard input, which is sent while it comes.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;

use toom_core::client::command::Command;
use toom_core::client::event::{Direction, Event, Transfer, TransferState};
use toom_core::id::OfferId;

use super::screen::Screen;
use super::session::{Step, Task};
use super::verdict;
use crate::exit::Exit;
use crate::line::human::length;

/// What is sent, and to whom.
pub(super) struct Send {
    what: What,
    /// Who has no offer yet.
    left: VecDeque<String>,
    /// An offer is being made; there is one at a time.
    offering: bool,
    /// Those that were offered and have not ended.
    running: BTreeSet<OfferId>,
    /// Of the first that failed.
    exit: Exit,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// One file, or else a folder or several files and folders.
    Files(Vec<PathBuf>),
    /// Standard input, under this name.
    Stream(String),
}

impl Send {
    /// Sends `what` to everybody of `to`.
    pub(super) fn new(to: Vec<String>, what: What) -> Send {
        Send { what, left: to.into(), offering: false, running: BTreeSet::new(), exit: Exit::Done }
    }

    /// The next offer, or the end if nothing is under way.
    fn next(&mut self) -> Step {
        if self.offering {
            return Step::Wait;
        }
        let Some(to) = self.left.pop_front() else {
            return if self.running.is_empty() { Step::End(self.exit) } else { Step::Wait };
        };
        self.offering = true;
        Step::Do(match self.what.clone() {
            What::Files(paths) => Command::SendFiles { to, paths },
            What::Stream(name) => Command::SendStream { to, name },
        })
    }

    /// Somebody does not get it. The others do.
    fn failed(&mut self, exit: Exit) -> Step {
        if self.exit == Exit::Done {
            self.exit = exit;
        }
        self.next()
    }

    fn transfer(&mut self, transfer: &Transfer, screen: &Screen) -> Step {
        match &transfer.state {
            TransferState::Starting => {
                self.offering = false;
                self.running.insert(transfer.id);
                let Transfer { peer, name, total, .. } = transfer;
                screen.note(&format!("Waiting for {peer} to accept {} ({}).", name.as_str(), length(*total)));
                self.next()
            }
            TransferState::Done { .. } if self.running.remove(&transfer.id) => self.next(),
            TransferState::Failed(failure) if self.running.remove(&transfer.id) => {
                self.failed(verdict::of_transfer(failure, transfer, transfer.total.is_none()))
            }
            _ => Step::Wait,
        }
    }
}

impl Task for Send {
    fn begin(&mut self, _: &Screen) -> Step {
        self.next()
    }

    fn event(&mut self, event: &Event, screen: &Screen) -> io::Result<Step> {
        Ok(match event {
            Event::Transfer(transfer @ Transfer { direction: Direction::Out, .. }) => self.transfer(transfer, screen),
            Event::Error(failure) => {
                self.offering = false;
                self.failed(verdict::of_command(failure))
            }
            _ => Step::Wait,
        })
    }
}
