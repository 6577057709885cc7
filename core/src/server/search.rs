//! What a search looks for, and what it finds: the words that a message must have, and who may read it.
//!
//! What people type is a list of words and no language, so that nothing they type is an error. A message is found if
//! it has all of the words, whatever their case and order. A word with punctuation inside, such as `e-mail`, is a
//! sequence of words. A `*` at the end of the last word stands for any ending.

use super::fact::{Conversation, Message};
use super::io::{Page, Span};
use crate::id::{LogIndex, MessageNumber};
use crate::name::UserName;
use crate::wire::limits::{MAX_SEARCH_BYTES, MAX_SEARCH_WORDS};
use crate::wire::message::Refusal;

/// A page of messages to search, the newest first: those that have all of `words` and that `reader` may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Whose direct messages are searched.
    pub reader: UserName,
    /// Only direct messages behind this fact, which made the account: those of an earlier namesake are not theirs.
    pub direct_after: LogIndex,
    /// The broadcasts and rooms to search: in order of conversation, then number; disjoint.
    pub spans: Vec<Span>,
    /// At least one.
    pub words: Vec<Word>,
    /// Only messages of facts up to this one, which are all recorded.
    pub up_to: LogIndex,
    /// Only messages older than this one.
    pub before: Option<(Conversation, MessageNumber)>,
    /// At most this many messages.
    pub max_messages: usize,
    /// At most this many bytes of text, but at least one message.
    pub max_bytes: usize,
}

/// One word to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As typed, without the `*`.
    pub text: String,
    /// Whether longer words that begin like it are looked for, too.
    pub is_prefix: bool,
}

impl Search {
    /// The words of what somebody typed.
    pub fn words(text: &str) -> Result<Vec<Word>, Refusal> {
        let limit = |what: &str| Err(Refusal::LimitReached(what.to_owned()));
        if text.len() > MAX_SEARCH_BYTES {
            return limit("bytes of a search");
        }
        let is_gap = |c: char| c.is_whitespace() || c.is_control();
        let parts: Vec<&str> = text.split(is_gap).filter(|part| !part.is_empty()).collect();
        let last = parts.len().saturating_sub(1);
        let word = |(place, part): (usize, &&str)| match part.strip_suffix('*') {
            Some(begin) if place == last => Word { text: begin.to_owned(), is_prefix: true },
            _ => Word { text: (*part).to_owned(), is_prefix: false },
        };
        let words: Vec<Word> = parts.iter().enumerate().map(word).filter(Word::has_content).collect();
        match words.len() {
            0 => Err(Refusal::BadText),
            count if count > MAX_SEARCH_WORDS => limit("words of a search"),
            _ => Ok(words),
        }
    }

    /// Whether its reader may read a message, and it is not newer than what is searched.
    pub fn may_read(&self, message: &Message) -> bool {
        let conversation = &message.conversation;
        let readable = match conversation {
            Conversation::Direct(a, b) => [a, b].contains(&&self.reader) && message.index > self.direct_after,
            _ => self
                .spans
                .iter()
                .any(|span| span.conversation == *conversation && (span.first..=span.last).contains(&message.number)),
        };
        readable && message.index <= self.up_to
    }

    /// What it finds among all messages there are, given from the newest to the oldest. A store finds the same
    /// without reading them all.
    pub fn page<'a>(&self, newest_first: impl Iterator<Item = &'a Message>) -> Page {
        let mut page = Page { messages: Vec::new(), more: false };
        // A cursor that points at nothing has nothing before it.
        let (mut is_before, mut bytes) = (self.before.is_none(), 0_usize);
        for message in newest_first {
            if !is_before {
                is_before =
                    self.before.as_ref().is_some_and(|it| (&it.0, it.1) == (&message.conversation, message.number));
                continue;
            }
            if !self.may_read(message) || !self.words.iter().all(|word| word.is_in(&message.text)) {
                continue;
            }
            bytes = bytes.saturating_add(message.text.len());
            let full = page.messages.len() >= self.max_messages || bytes > self.max_bytes;
            if full && !page.messages.is_empty() {
                page.more = true;
                break;
            }
            page.messages.push(message.clone());
        }
        page
    }
}

impl Word {
    /// Whether there is anything to look for: not in punctuation alone.
    fn has_content(&self) -> bool {
        self.text.contains(char::is_alphanumeric)
    }

    /// Whether a text has this word: what it has of letters and digits follows each other there.
    fn is_in(&self, text: &str) -> bool {
        let (wanted, there) = (tokens(&self.text), tokens(text));
        let Some((last, first)) = wanted.split_last() else { return false };
        there.windows(wanted.len()).any(|window| {
            window.split_last().is_some_and(|(end, begin)| {
                begin == first && if self.is_prefix { end.starts_with(last.as_str()) } else { end == last }
            })
        })
    }
}

fn tokens(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, bool)> {
        Search::words(text).unwrap().into_iter().map(|word| (word.text, word.is_prefix)).collect()
    }

    fn finds(typed: &str, text: &str) -> bool {
        Search::words(typed).unwrap().iter().all(|word| word.is_in(text))
    }

    #[test]
    fn what_is_typed_is_a_list_of_words() {
        let word = |text: &str| (text.to_owned(), false);
        assert_eq!(words(" a\tOR \"b\" NEAR(c*)\0d "), ["a", "OR", "\"b\"", "NEAR(c*)", "d"].map(word));
        assert_eq!(words("a* b*"), [word("a*"), ("b".to_owned(), true)]);
        assert_eq!(words("a -- b"), [word("a"), word("b")], "punctuation alone is nothing to look for");
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        for nothing in ["", " ", "*", "-- ?", "\0"] {
            assert_eq!(Search::words(nothing), Err(Refusal::BadText), "{nothing:?}");
        }
        for (count, allowed) in [(MAX_SEARCH_WORDS, true), (MAX_SEARCH_WORDS + 1, false)] {
            assert_eq!(Search::words(&"a ".repeat(count)).is_ok(), allowed);
        }
        assert!(Search::words(&"a".repeat(MAX_SEARCH_BYTES)).is_ok());
        assert!(Search::words(&"a".repeat(MAX_SEARCH_BYTES + 1)).is_err());
    }

    #[test]
    fn all_words_are_found_in_any_order_and_case() {
        let text = "The quick e-mail, sent by Yoda!";
        for typed in ["quick", "YODA the", "e-mail", "e-ma*", "\"sent\"", "yo*", "mail sent"] {
            assert!(finds(typed, text), "{typed:?}");
        }
        for typed in ["quic", "yoda luke", "mail-e", "e-sent", "od*", "qu* by"] {
            assert!(!finds(typed, text), "{typed:?}");
        }
    }
}
