//! The person's end: every command has exactly one answer, whatever becomes of connections.

use std::collections::BTreeMap;

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::{Input, Output};

use super::conference::Part;
use super::model::Model;
use super::{Broken, Observation, ensure};

/// One command, one answer.
pub const ONE_ANSWER: &str = "messages: every command has exactly one answer, across all connections of its session";

/// Commands without an answer, by client.
#[derive(Debug, Default)]
pub(super) struct Answers {
    clients: BTreeMap<usize, Waiting>,
}

/// What one client was asked and has said. Some commands are answered by what comes unasked, too.
#[derive(Debug, Default)]
struct Waiting {
    /// Commands that have no answer but one of their own kind, or an error, less those answers.
    own: BTreeMap<&'static str, i64>,
    /// Commands that may be answered by what comes unasked, too.
    others: i64,
    errors: i64,
    over: bool,
}

impl Part for Answers {
    fn observe(&mut self, _: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ClientStarts { client, .. } => _ = self.clients.insert(*client, Waiting::default()),
            Observation::ClientEnds(client) => _ = self.clients.remove(client),
            Observation::ClientHears(client, input) => {
                let Some(waiting) = self.clients.get_mut(client) else { return Ok(()) };
                match input {
                    _ if waiting.over => return waiting.is_right(*client),
                    Input::Command(command) => waiting.asks(command),
                    _ => {}
                }
            }
            Observation::ClientSays(client, Output::Event(event)) => {
                if let Some(waiting) = self.clients.get_mut(client) {
                    return waiting.says(*client, event);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &Model) -> Result<(), Broken> {
        self.clients.iter().filter(|(_, it)| it.over).try_for_each(|(client, it)| it.is_right(*client))
    }
}

impl Waiting {
    fn asks(&mut self, command: &Command) {
        let kind = match command {
            Command::Broadcast { .. } | Command::RoomMessage { .. } | Command::DirectMessage { .. } => POST,
            Command::ActiveUsers => LIST,
            Command::History { .. } => HISTORY,
            Command::Find { .. } => SEARCH,
            Command::Rooms => ROOMS,
            Command::Transfers => TRANSFERS,
            // It has no answer but the goodbye.
            Command::Finish => return,
            _ => return self.others += 1,
        };
        *self.own.entry(kind).or_default() += 1;
    }

    fn says(&mut self, client: usize, event: &Event) -> Result<(), Broken> {
        let kind = match event {
            Event::Sent { .. } => POST,
            Event::ActiveUsers(_) => LIST,
            Event::History { .. } => HISTORY,
            Event::Found { .. } => SEARCH,
            Event::Rooms(_) => ROOMS,
            Event::Transfers(_) => TRANSFERS,
            Event::Error(_) => {
                self.errors += 1;
                return Ok(());
            }
            Event::Bye { .. } | Event::ConnectionLost { .. } => {
                self.over = true;
                return Ok(());
            }
            _ => return Ok(()),
        };
        let left = self.own.entry(kind).or_default();
        *left -= 1;
        ensure(*left >= 0, ONE_ANSWER, || format!("client {client} was given the answer to no {kind}: {event:?}"))
    }

    /// After the last event all was answered: what has no answer of its own has an error, and no other error was told.
    fn is_right(&self, client: usize) -> Result<(), Broken> {
        let failed: i64 = self.own.values().sum();
        let right = (failed..=failed + self.others).contains(&self.errors);
        ensure(right, ONE_ANSWER, || format!("client {client} is over: {self:?}"))
    }
}

const POST: &str = "post";
const LIST: &str = "question who is active";
const HISTORY: &str = "question for messages";
const SEARCH: &str = "search";
const ROOMS: &str = "question for rooms";
const TRANSFERS: &str = "question for transfers";

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use toom_core::client::event::Failure;

    /// The person asks twice who is active, and is told this.
    fn told(events: &[Event]) -> Option<&'static str> {
        let mut stage = Stage::new(&[]);
        stage.client(0);
        (0..2).for_each(|_| stage.client_is_asked(0, Command::ActiveUsers));
        let over = Event::ConnectionLost { reason: String::new(), was_logged_in: true, server_key_changed: false };
        for event in events.iter().chain([&over]) {
            stage.client_shows(0, event.clone());
        }
        stage.finish()
    }

    #[test]
    fn an_answer_too_many_and_one_that_is_missing_are_found() {
        let (list, error) = (Event::ActiveUsers(Vec::new()), Event::Error(Failure::ConnectionLost));
        assert_eq!(told(&[list.clone(), list.clone()]), None);
        assert_eq!(told(&[list.clone(), error.clone()]), None);
        assert_eq!(told(&[list.clone(), list.clone(), list.clone()]), Some(ONE_ANSWER));
        assert_eq!(told(&[list.clone(), list.clone(), error]), Some(ONE_ANSWER));
        assert_eq!(told(&[list]), Some(ONE_ANSWER), "one has no answer");
    }
}
