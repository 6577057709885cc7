//! Pages of messages that follow each other in their conversations: which ones the store is asked for.

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
    pub fn page(&self, messages: impl Iterator<Item = Message>) -> Page {
        let mut page = Page { messages: Vec::new(), more: false };
        let mut bytes = 0_usize;
        for message in messages {
            bytes = bytes.saturating_add(message.text.len());
            let too_large = bytes > self.max_bytes && !page.messages.is_empty();
            if too_large || page.messages.len() >= self.max_messages {
                page.more = true;
                break;
            }
            page.messages.push(message);
        }
        page
    }

    /// The last page of messages that are given from the newest to the oldest; in order again.
    pub fn last_page(&self, newest_first: impl Iterator<Item = Message>) -> Page {
        let mut page = self.page(newest_first);
        page.messages.reverse();
        page
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
