//! Pages of messages that follow each other in their conversations: which ones the store is asked for.

use core::ops::ControlFlow;

use super::fact::{Conversation, Message};
use super::io::Page;
use crate::id::MessageNumber;
use crate::time::Timestamp;

/// Messages to read: those of `spans`, in their order, not before a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// In order of conversation, then number; disjoint.
    pub spans: Vec<Span>,
    /// Only messages at this moment or later.
    pub not_before: Timestamp,
    /// At most this many messages.
    pub max_messages: usize,
    /// At most this many bytes of text, but at least one message.
    pub max_bytes: usize,
}

/// An interval of one conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which conversation.
    pub conversation: Conversation,
    /// The first number.
    pub first: MessageNumber,
    /// The last number, included.
    pub last: MessageNumber,
}

impl Select {
    /// The first page of messages that are given in order; as many as are wanted, or fit.
    pub fn page(&self, mut messages: impl Iterator<Item = Message>) -> Page {
        let mut filling = Filling::new(self);
        let _ = messages.try_for_each(|message| filling.add(message));
        filling.page
    }

    /// The last page of messages that are given from the newest to the oldest; in order again.
    pub fn last_page(&self, newest_first: impl Iterator<Item = Message>) -> Page {
        let mut page = self.page(newest_first);
        page.messages.reverse();
        page
    }
}

/// A page that is being filled, by someone who reads one message after the other.
#[derive(Debug)]
pub struct Filling<'a> {
    select: &'a Select,
    /// What is in it.
    pub page: Page,
    bytes: usize,
}

impl<'a> Filling<'a> {
    /// An empty page.
    pub fn new(select: &'a Select) -> Filling<'a> {
        Filling { select, page: Page { messages: Vec::new(), more: false }, bytes: 0 }
    }

    /// Adds a message; breaks if it does not fit any more.
    pub fn add(&mut self, message: Message) -> ControlFlow<()> {
        let bytes = self.bytes.saturating_add(message.text.len());
        let is_first = self.page.messages.is_empty();
        if !is_first && bytes > self.select.max_bytes || self.page.messages.len() >= self.select.max_messages {
            self.page.more = true;
            return ControlFlow::Break(());
        }
        self.bytes = bytes;
        self.page.messages.push(message);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::LogIndex;
    use crate::server::testing::name;
    use proptest::prelude::*;

    fn message((number, length): (u64, usize)) -> Message {
        Message {
            conversation: Conversation::Broadcast,
            number: MessageNumber(number),
            at: Timestamp::from_millis(0),
            from: name("a"),
            text: "x".repeat(length),
            index: LogIndex(number),
        }
    }

    fn numbers(page: &Page) -> Vec<u64> {
        page.messages.iter().map(|message| message.number.0).collect()
    }

    proptest! {
        /// A page is the longest beginning (or end) that keeps both limits, and has a message if there is one.
        #[test]
        fn pages_keep_their_limits_and_no_less(
            lengths in prop::collection::vec(1usize..9, 0..12),
            max_messages in 1usize..6,
            max_bytes in 0usize..30,
        ) {
            let all: Vec<(u64, usize)> = (1..).zip(lengths).collect();
            let select = Select { spans: Vec::new(), not_before: Timestamp::default(), max_messages, max_bytes };
            let fits = |part: &[(u64, usize)]| {
                let bytes: usize = part.iter().map(|(_, length)| length).sum();
                part.len() <= 1 || part.len() <= max_messages && bytes <= max_bytes
            };
            let longest = (0..=all.len()).rev().find(|count| fits(&all[..*count])).unwrap_or(0);
            let page = select.page(all.iter().copied().map(message));
            prop_assert_eq!(numbers(&page), (1..=longest as u64).collect::<Vec<_>>());
            prop_assert_eq!(page.more, longest < all.len());

            let start = (0..=all.len()).find(|start| fits(&all[*start..])).unwrap_or(0);
            let page = select.last_page(all.iter().rev().copied().map(message));
            prop_assert_eq!(numbers(&page), (start as u64 + 1..=all.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(page.more, start > 0);
        }
    }
}
