//! The pages of one `RDM`, gathered into one answer.

use super::event::Event;
use crate::machine::Usage;
use crate::time::Timestamp;
use crate::wire::message::{Cursor, HistoryKind, PastMessage, RequestBody};

/// What one answer may hold in messages: some 200 MB of memory with short texts.
const MAX_HISTORY_MESSAGES: usize = 1_000_000;
/// What one answer may hold in text.
const MAX_HISTORY_BYTES: usize = 256 * 1024 * 1024;

/// One history on its way here. There is one at a time, so that memory is bounded.
#[derive(Debug)]
pub(super) struct Gathering {
    kind: HistoryKind,
    not_before: Timestamp,
    messages: Vec<PastMessage>,
    text_bytes: usize,
    /// Where the last page ended.
    after: Option<Cursor>,
    max_messages: usize,
    max_bytes: usize,
}

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for the next page.
    Ask(RequestBody),
    /// Show everything.
    Show(Event),
    /// It is more than one answer may hold; in words.
    TooMuch(String),
    /// The server goes in circles.
    Circle,
}

impl Gathering {
    /// Everything in strictly later seconds than `since`.
    pub(super) fn new(kind: HistoryKind, since: Timestamp) -> Gathering {
        Gathering {
            kind,
            not_before: since.next_second(),
            messages: Vec::new(),
            text_bytes: 0,
            after: None,
            max_messages: MAX_HISTORY_MESSAGES,
            max_bytes: MAX_HISTORY_BYTES,
        }
    }

    /// Broadcasts or rooms.
    pub(super) fn kind(&self) -> HistoryKind {
        self.kind
    }

    /// The request for the next page.
    pub(super) fn request(&self) -> RequestBody {
        RequestBody::History { kind: self.kind, not_before: self.not_before, after: self.after }
    }

    /// How much was gathered.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("messages of one history", self.messages.len(), self.max_messages));
        each(Usage::new("text of one history", self.text_bytes, self.max_bytes));
    }

    /// Takes a page.
    pub(super) fn page(&mut self, page: Vec<PastMessage>, next: Option<Cursor>) -> Step {
        self.text_bytes += page.iter().map(|message| message.text.len()).sum::<usize>();
        self.messages.extend(page);
        if self.messages.len() > self.max_messages || self.text_bytes > self.max_bytes {
            let (messages, mebibytes) = (self.max_messages, self.max_bytes / (1024 * 1024));
            return Step::TooMuch(format!(
                "there are more than {messages} messages or {mebibytes} MiB since then, please ask for a later time"
            ));
        }
        match next {
            None => Step::Show(Event::History { kind: self.kind, messages: core::mem::take(&mut self.messages) }),
            Some(cursor) if self.after.is_some_and(|after| cursor <= after) => Step::Circle,
            Some(cursor) => {
                self.after = Some(cursor);
                Step::Ask(self.request())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageNumber;
    use crate::name::UserName;

    fn message(number: u64, text: &str) -> PastMessage {
        let from = UserName::new("yoda").unwrap();
        PastMessage { room: None, number: MessageNumber(number), at: Timestamp::default(), from, text: text.into() }
    }

    fn cursor(number: u64) -> Cursor {
        Cursor { room: None, number: MessageNumber(number) }
    }

    #[test]
    fn pages_become_one_answer() {
        let mut gathering = Gathering::new(HistoryKind::Broadcast, Timestamp::from_millis(1_500));
        let (kind, not_before) = (HistoryKind::Broadcast, Timestamp::from_millis(2_000));
        assert_eq!(gathering.request(), RequestBody::History { kind, not_before, after: None });
        let step = gathering.page(vec![message(1, "a"), message(2, "b")], Some(cursor(2)));
        assert_eq!(step, Step::Ask(RequestBody::History { kind, not_before, after: Some(cursor(2)) }));
        let messages = vec![message(1, "a"), message(2, "b"), message(3, "c")];
        assert_eq!(gathering.page(vec![message(3, "c")], None), Step::Show(Event::History { kind, messages }));
    }

    #[test]
    fn both_limits_end_it_in_words() {
        for (max_messages, max_bytes) in [(2, 4 << 20), (100, 2)] {
            let mut gathering = Gathering::new(HistoryKind::Broadcast, Timestamp::default());
            (gathering.max_messages, gathering.max_bytes) = (max_messages, max_bytes);
            let step = gathering.page(vec![message(1, "a"), message(2, "b")], Some(cursor(2)));
            assert!(matches!(step, Step::Ask(_)));
            let step = gathering.page(vec![message(3, "c")], None);
            assert!(matches!(&step, Step::TooMuch(words) if words.contains("a later time")), "{step:?}");
            let words = format!("more than {max_messages} messages or {} MiB", max_bytes >> 20);
            assert!(matches!(&step, Step::TooMuch(told) if told.contains(&words)), "{step:?}");
        }
    }

    #[test]
    fn a_server_that_does_not_get_on_is_found_out() {
        for second in [1, 2] {
            let mut gathering = Gathering::new(HistoryKind::Broadcast, Timestamp::default());
            assert!(matches!(gathering.page(vec![], Some(cursor(2))), Step::Ask(_)));
            assert_eq!(gathering.page(vec![], Some(cursor(second))), Step::Circle);
        }
    }
}
