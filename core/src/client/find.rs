//! What `FIND` asks, and how its page is shown.

use super::event::{Event, Failure};
use crate::wire::limits::MAX_SEARCH_BYTES;
use crate::wire::message::{FoundCursor, FoundMessage, RequestBody};

/// The request for the newest messages with these words; or why the server need not be asked.
pub(super) fn request(text: String) -> Result<RequestBody, Failure> {
    if text.len() > MAX_SEARCH_BYTES {
        return Err(Failure::LimitReached(format!("a search has at most {MAX_SEARCH_BYTES} bytes of words")));
    }
    Ok(RequestBody::Find { text, before: None })
}

/// The answer. One page is what a person looks through; for what is older they add a word.
pub(super) fn found(messages: Vec<FoundMessage>, next: Option<FoundCursor>) -> Event {
    Event::Found { messages, more: next.is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageNumber;
    use crate::wire::message::FoundIn;

    #[test]
    fn what_is_too_long_is_not_asked() {
        let text = "a".repeat(MAX_SEARCH_BYTES);
        assert_eq!(request(text.clone()), Ok(RequestBody::Find { text: text.clone(), before: None }));
        assert!(matches!(request(text + "a"), Err(Failure::LimitReached(_))));
    }

    #[test]
    fn it_is_said_that_there_is_more() {
        let cursor = FoundCursor { place: FoundIn::Broadcast, number: MessageNumber(1) };
        for next in [None, Some(cursor)] {
            let more = next.is_some();
            assert_eq!(found(vec![], next), Event::Found { messages: vec![], more });
        }
    }
}
