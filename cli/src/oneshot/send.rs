//! `toom send`: offers files to somebody, one after another, and is done when the last one is verified. `-` is standard
//! input, which is sent while it comes.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use toom_core::client::command::Command;
use toom_core::client::event::{Direction, Event, Transfer, TransferState};

use super::screen::Screen;
use super::session::{Step, Task};
use super::verdict;
use crate::exit::Exit;
use crate::line::human::length;

/// The files that are left, and for whom.
pub(super) struct Send {
    to: String,
    left: VecDeque<What>,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    File(PathBuf),
    /// Standard input, under this name.
    Stream(String),
}

impl Send {
    /// Sends all of `what` to somebody.
    pub(super) fn new(to: String, what: Vec<What>) -> Send {
        Send { to, left: what.into() }
    }

    fn next(&mut self) -> Step {
        let to = self.to.clone();
        match self.left.pop_front() {
            Some(What::File(path)) => Step::Do(Command::SendFile { to, path }),
            Some(What::Stream(name)) => Step::Do(Command::SendStream { to, name }),
            None => Step::End(Exit::Done),
        }
    }
}

impl Task for Send {
    fn begin(&mut self, _: &Screen) -> Step {
        self.next()
    }

    fn event(&mut self, event: &Event, screen: &Screen) -> io::Result<Step> {
        Ok(match event {
            Event::Transfer(transfer @ Transfer { direction: Direction::Out, state, .. }) => match state {
                TransferState::Starting => {
                    let Transfer { peer, name, total, .. } = transfer;
                    screen.note(&format!("Waiting for {peer} to accept {} ({}).", name.as_str(), length(*total)));
                    Step::Wait
                }
                TransferState::Done { .. } => self.next(),
                TransferState::Failed(failure) => {
                    Step::End(verdict::of_transfer(failure, transfer, transfer.total.is_none()))
                }
                _ => Step::Wait,
            },
            Event::Error(failure) => Step::End(verdict::of_command(failure)),
            _ => Step::Wait,
        })
    }
}
