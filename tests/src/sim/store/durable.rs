//! What survives the server.

use std::collections::BTreeMap;

use toom_core::id::{LogIndex, MessageNumber, Ticket};
use toom_core::server::fact::{Committed, Conversation, Fact, Message};
use toom_core::server::io::{Page, Query, Select, Span};

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
        Committed { index: self.last(), ticket, fact }
    }

    /// The whole log, oldest first.
    pub fn replay(&self) -> Vec<Committed> {
        self.after(LogIndex(0)).collect()
    }

    /// The newest fact; zero if there is none.
    pub fn last(&self) -> LogIndex {
        LogIndex(self.facts.len() as u64)
    }

    /// The facts after `index`, oldest first.
    pub fn after(&self, index: LogIndex) -> impl Iterator<Item = Committed> {
        let next = (index.0 + 1..).map(LogIndex);
        let facts = self.facts.iter().skip(usize::try_from(index.0).unwrap_or(usize::MAX));
        next.zip(facts).map(|(index, fact)| Committed { index, ticket: None, fact: fact.clone() })
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

    /// The newest fact that the index of messages covers.
    pub fn indexed(&self) -> LogIndex {
        let newest = self.messages.values().filter_map(|known| known.last_key_value());
        newest.map(|(_, message)| message.index).max().unwrap_or_default()
    }

    /// Takes the messages of facts after `index` out of the index of messages.
    pub fn unindex_after(&mut self, index: LogIndex) {
        self.messages.values_mut().for_each(|known| known.retain(|_, message| message.index <= index));
        self.messages.retain(|_, known| !known.is_empty());
    }

    /// The messages of a conversation, oldest first.
    pub fn messages(&self, conversation: &Conversation) -> impl Iterator<Item = &Message> {
        self.messages.get(conversation).into_iter().flat_map(BTreeMap::values)
    }

    /// The answer to a query.
    pub fn answer(&self, what: &Query) -> Page {
        match what {
            Query::Select(select) => self.read(select),
            Query::Last(select) => {
                let all = Select { max_messages: usize::MAX, max_bytes: usize::MAX, ..select.clone() };
                select.last_page(self.read(&all).messages.into_iter().rev())
            }
            Query::First(select) => {
                let first_of = |span: &Span| Select { spans: vec![span.clone()], max_messages: 1, ..select.clone() };
                let firsts: Vec<Message> =
                    select.spans.iter().flat_map(|span| self.read(&first_of(span)).messages).collect();
                select.page(firsts.into_iter())
            }
            Query::Search(search) => {
                let mut all: Vec<&Message> = self.messages.values().flat_map(BTreeMap::values).collect();
                all.sort_by_key(|message| std::cmp::Reverse(message.index));
                search.page(all.into_iter())
            }
        }
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
