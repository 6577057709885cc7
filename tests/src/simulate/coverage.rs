//! What runs have covered.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use toom_core::client::event::Event;
use toom_core::client::io::Output as ClientOutput;
use toom_core::name::UserName;
use toom_core::secure::ResumeSecret;
use toom_core::server::fact::Fact;
use toom_core::server::io::{Input, Output};
use toom_core::wire::message::Event::Granted;
use toom_core::wire::message::ServerMessage;

use super::kinds;
use crate::invariants::{Broken, Checker, Moment, Observation};

/// How often what was seen, by its kind.
pub type Counts = BTreeMap<&'static str, u64>;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Requests that the server heard.
    pub requests: Counts,
    /// Replies that it gave.
    pub replies: Counts,
    /// Events that it told.
    pub events: Counts,
    /// Connections that it closed.
    pub closes: Counts,
    /// Facts that became durable.
    pub facts: Counts,
    /// What people were told.
    pub client_events: Counts,
    /// How transfers went, as people were told.
    pub transfers: Counts,
}

impl Coverage {
    /// Every category: its title, all kinds, and how often each was seen.
    pub fn categories(&self) -> [(&'static str, &'static [&'static str], &Counts); 7] {
        [
            ("requests", kinds::REQUESTS, &self.requests),
            ("replies", kinds::REPLIES, &self.replies),
            ("events of the server", kinds::EVENTS, &self.events),
            ("connections closed by the server", kinds::CLOSES, &self.closes),
            ("facts", kinds::FACTS, &self.facts),
            ("events of clients", kinds::CLIENT_EVENTS, &self.client_events),
            ("transfers", kinds::TRANSFERS, &self.transfers),
        ]
    }

    /// Adds what another run covered.
    pub fn add(&mut self, other: &Coverage) {
        add(&mut self.requests, &other.requests);
        add(&mut self.replies, &other.replies);
        add(&mut self.events, &other.events);
        add(&mut self.closes, &other.closes);
        add(&mut self.facts, &other.facts);
        add(&mut self.client_events, &other.client_events);
        add(&mut self.transfers, &other.transfers);
    }
}

/// Adds counts to counts.
pub fn add<K: Copy + Ord>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (kind, count) in from {
        *to.entry(*kind).or_default() += count;
    }
}

/// What a run hears of its world while it goes on.
#[derive(Debug, Default)]
pub struct Heard {
    /// What it covered so far.
    pub coverage: Coverage,
    /// What people were told, by client, oldest first, until it is taken.
    pub told: VecDeque<(usize, Told)>,
    /// The secrets that were granted, by user, the newest last.
    pub secrets: BTreeMap<UserName, Vec<ResumeSecret>>,
    /// Whose session has just begun in the log.
    begun: Option<UserName>,
}

/// What a person notices of their client.
#[derive(Debug)]
pub enum Told {
    /// It shows something.
    Event(Event),
    /// Its process is gone.
    Ended,
}

/// Listens to a world on behalf of its run. Finds nothing wrong.
#[derive(Debug, Default)]
pub struct Listener(pub Rc<RefCell<Heard>>);

impl Checker for Listener {
    fn observe(&mut self, _at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerHears(Input::Request { request, .. }) => {
                count(&mut self.0.borrow_mut().coverage.requests, kinds::request(&request.body));
            }
            Observation::ServerHears(input) => {
                let mut heard = self.0.borrow_mut();
                heard.begun = match input {
                    Input::Committed { committed, .. } => session_of(&committed.fact).cloned(),
                    _ => None,
                };
            }
            Observation::ServerSays(Output::Send { message, .. }) => {
                if let ServerMessage::Event(Granted { secret, .. }) = message {
                    let heard = &mut *self.0.borrow_mut();
                    if let Some(user) = heard.begun.take() {
                        heard.secrets.entry(user).or_default().push(secret.clone());
                    }
                }
                let coverage = &mut self.0.borrow_mut().coverage;
                match message {
                    ServerMessage::Reply(reply) => count(&mut coverage.replies, kinds::reply(&reply.body)),
                    ServerMessage::Event(event) => count(&mut coverage.events, kinds::event(event)),
                }
            }
            Observation::ServerSays(Output::Close { reason, .. }) => {
                count(&mut self.0.borrow_mut().coverage.closes, kinds::close(reason));
            }
            Observation::Durable(committed) => {
                count(&mut self.0.borrow_mut().coverage.facts, kinds::fact(&committed.fact));
            }
            Observation::ClientSays(client, ClientOutput::Event(event)) => {
                let heard = &mut *self.0.borrow_mut();
                count(&mut heard.coverage.client_events, kinds::client_event(event));
                if let Event::Transfer(transfer) = event {
                    count(&mut heard.coverage.transfers, kinds::transfer(&transfer.state));
                }
                heard.told.push_back((*client, Told::Event(event.clone())));
            }
            Observation::ClientEnds(client) => self.0.borrow_mut().told.push_back((*client, Told::Ended)),
            _ => {}
        }
        Ok(())
    }
}

/// Whose session begins with a fact.
fn session_of(fact: &Fact) -> Option<&UserName> {
    if let Fact::SessionStarted { name, .. } = fact { Some(name) } else { None }
}

fn count(counts: &mut Counts, kind: &'static str) {
    *counts.entry(kind).or_default() += 1;
}
