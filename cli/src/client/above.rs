//! What others do is printed above the line that is being typed, by a thread of its own.
//!
//! The line editor takes a text only while it reads a line: who hands it one in the moment in which a line ends waits
//! for the next line. If that were the thread which asks for the next line, both would wait for ever.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Texts that may wait for a terminal that is slow; then whoever prints waits, too.
const MAX_WAITING: usize = 1_024;

/// How long the texts that are left are waited for at the end.
const PATIENCE: Duration = Duration::from_millis(200);

/// Prints texts in their order.
#[derive(Clone)]
pub(super) struct Above {
    waiting: Arc<Waiting>,
    /// One word for each of them.
    words: SyncSender<()>,
    failed: Arc<AtomicBool>,
}

/// The texts that were not printed; the first one maybe half.
#[derive(Default)]
struct Waiting {
    texts: Mutex<VecDeque<String>>,
    /// One fewer waits.
    printed: Condvar,
}

impl Above {
    /// With `print`, which may wait.
    pub(super) fn start(mut print: impl FnMut(String) -> io::Result<()> + Send + 'static) -> Above {
        let (words, heard) = sync_channel(MAX_WAITING);
        let above = Above { waiting: Arc::default(), words, failed: Arc::default() };
        let (waiting, failed) = (above.waiting.clone(), above.failed.clone());
        thread::spawn(move || {
            for () in heard {
                let next = waiting.lock().front().cloned();
                if let Some(text) = next {
                    failed.fetch_or(print(text).is_err(), Ordering::Relaxed);
                    waiting.lock().pop_front();
                    waiting.printed.notify_all();
                }
            }
        });
        above
    }

    /// Prints a text, soon. An error means that an earlier one could not be printed.
    pub(super) fn print(&self, text: String) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.waiting.lock().push_back(text);
        self.words.send(()).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    /// The texts that the editor does not take any more, once it is gone.
    pub(super) fn rest(&self) -> String {
        let waited = self.waiting.printed.wait_timeout_while(self.waiting.lock(), PATIENCE, |texts| !texts.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.drain(..).collect()
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    #[test]
    fn texts_are_printed_in_their_order_and_nothing_is_left() {
        let (send, printed) = channel();
        let above = Above::start(move |text| send.send(text).map_err(io::Error::other));
        for number in 0..100 {
            above.print(number.to_string()).expect("printed");
        }
        let all: Vec<String> = printed.iter().take(100).collect();
        assert_eq!(all, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(above.rest(), "");
    }

    #[test]
    fn nobody_waits_for_an_editor_that_takes_no_text_and_nothing_is_lost_with_it() {
        let (began, begun) = channel();
        let (_never, wait) = channel::<()>();
        let above = Above::start(move |text| {
            began.send(text).map_err(io::Error::other)?;
            // As long as the editor reads no line.
            wait.recv().map_err(io::Error::other)
        });
        for text in ["one\n", "two\n", "three\n"] {
            above.print(text.into()).expect("it waits for its turn");
        }
        assert_eq!(begun.recv().expect("it was begun"), "one\n");
        assert_eq!(above.rest(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_terminal_that_has_gone_away_is_said() {
        let above = Above::start(|_| Err(ErrorKind::BrokenPipe.into()));
        let end = Instant::now() + Duration::from_secs(60);
        while above.print("x".into()).is_ok() {
            assert!(Instant::now() < end, "it is never said");
        }
    }
}
