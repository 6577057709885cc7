//! Panics of the code under test, caught and put into words.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Where and why this thread panicked, while it catches.
    static CAUGHT: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Does `work`; if it panics, gives where and why instead, and prints nothing. Panics of other threads, and of
/// this one at other times, are shown as before.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    listen();
    CAUGHT.set(Some(None));
    let done = catch_unwind(AssertUnwindSafe(work));
    let caught = CAUGHT.take().flatten();
    done.map_err(|_| caught.unwrap_or_else(|| "a panic without words".into()))
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            let catching = CAUGHT.with_borrow_mut(|caught| match caught {
                Some(words) => {
                    *words = Some(in_words(info));
                    true
                }
                None => false,
            });
            if !catching {
                before(info);
            }
        }));
    });
}

fn in_words(info: &std::panic::PanicHookInfo<'_>) -> String {
    let place = info.location().map(|it| format!("{}:{}", it.file(), it.line())).unwrap_or_default();
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let why = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("{place}: {}", why.unwrap_or_else(|| "no message".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place_and_reason() {
        assert_eq!(catch(|| 7), Ok(7));
        let told = catch(|| panic!("number {}", 7)).unwrap_err();
        assert!(told.contains("panics.rs:") && told.ends_with(": number 7"), "{told}");
        assert_eq!(catch(|| 8), Ok(8));
    }
}
