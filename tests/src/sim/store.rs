//! The log in memory: commits after a while, and answers queries as the real store does.

use std::collections::BTreeMap;

use toom_core::id::{LogIndex, MessageNumber, QueryId, Ticket};
use toom_core::machine::Machine;
use toom_core::server::fact::{Committed, Conversation, Fact, Message};
use toom_core::server::io::{Page, Select};
use toom_core::time::Instant;

use super::dice::Dice;
use super::options::WorkOptions;
use super::pending::Pending;

/// What survives the server: the log, and the index of messages derived from it.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    facts: Vec<Fact>,
    messages: BTreeMap<Conversation, BTreeMap<MessageNumber, Message>>,
}

impl Durable {
    /// Appends a fact and gives it its place.
    pub fn append(&mut self, ticket: Option<Ticket>, fact: Fact) -> Committed {
        self.facts.push(fact.clone());
        Committed { index: LogIndex(self.facts.len() as u64), ticket, fact }
    }

    /// The whole log, oldest first.
    pub fn replay(&self) -> Vec<Committed> {
        let place = |(index, fact): (usize, &Fact)| Committed {
            index: LogIndex(index as u64 + 1),
            ticket: None,
            fact: fact.clone(),
        };
        self.facts.iter().enumerate().map(place).collect()
    }

    /// Indexes a message. One that is repeated must say the same.
    pub fn record(&mut self, message: &Message) {
        let known = self.messages.entry(message.conversation.clone()).or_default();
        match known.get(&message.number) {
            Some(before) => assert_eq!(before, message, "a message was recorded twice, and differs"),
            None => {
                let next = known.last_key_value().map_or(1, |(last, _)| last.0 + 1);
                assert_eq!(message.number, MessageNumber(next), "a gap in {:?}", message.conversation);
                known.insert(message.number, message.clone());
            }
        }
    }

    /// The messages of a conversation, oldest first.
    pub fn messages(&self, conversation: &Conversation) -> impl Iterator<Item = &Message> {
        self.messages.get(conversation).into_iter().flat_map(BTreeMap::values)
    }

    /// One page.
    pub fn read(&self, select: &Select) -> Page {
        // A span may be empty: its last before its first.
        let spans = select.spans.iter().filter(|span| span.first <= span.last);
        let wanted = spans.flat_map(|span| {
            self.messages.get(&span.conversation).into_iter().flat_map(|all| all.range(span.first..=span.last))
        });
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for (_, message) in wanted.filter(|(_, message)| message.at >= select.not_before) {
            bytes += message.text.len();
            let full = messages.len() == select.max_messages || (bytes > select.max_bytes && !messages.is_empty());
            if full {
                return Page { messages, more: true };
            }
            messages.push(message.clone());
        }
        Page { messages, more: false }
    }
}

/// The running store.
#[derive(Debug)]
pub struct Store {
    durable: Durable,
    work: WorkOptions,
    dice: Dice,
    commits: Pending<(Option<Ticket>, Fact)>,
    queries: Pending<(QueryId, Select)>,
}

/// What has happened.
#[derive(Debug)]
pub enum Input {
    /// Someone wants a fact appended: the server with a ticket, another process without.
    Proposed(Option<Ticket>, Fact),
    /// The server wants a page.
    Asked(QueryId, Select),
    /// The deadline passed.
    Woke,
}

/// What the store reports.
#[derive(Debug)]
pub enum Output {
    /// The next fact of the log.
    Committed(Committed),
    /// The answer to a query.
    Found(QueryId, Page),
}

impl Store {
    /// A store on what is there already.
    pub fn new(durable: Durable, work: WorkOptions, dice: Dice) -> Store {
        Store { durable, work, dice, commits: Pending::default(), queries: Pending::default() }
    }

    /// What is durable now.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Indexes a message at once, so that every later query sees it.
    pub fn record(&mut self, message: &Message) {
        self.durable.record(message);
    }

    /// The end of the process: what was not committed is lost.
    pub fn into_durable(self) -> Durable {
        self.durable
    }
}

impl Machine for Store {
    type Input<'a> = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        while let Some((ticket, fact)) = self.commits.pop_due(now) {
            out.push(Output::Committed(self.durable.append(ticket, fact)));
        }
        while let Some((query, select)) = self.queries.pop_due(now) {
            out.push(Output::Found(query, self.durable.read(&select)));
        }
        match input {
            Input::Proposed(ticket, fact) => {
                let at = now + self.dice.up_to(self.work.commit);
                self.commits.push_in_order(at, (ticket, fact));
            }
            Input::Asked(query, select) => {
                let at = now + self.dice.up_to(self.work.query);
                self.queries.push(at, (query, select));
            }
            Input::Woke => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.commits.deadline(), self.queries.deadline()].into_iter().flatten().min()
    }
}
