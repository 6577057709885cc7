//! What happened, in one short line: names and sizes instead of bytes, hashes in hex, times as seconds.
//!
//! It shortens what `Debug` writes, so that a new kind of message needs no new words.

use core::fmt::{Debug, Write as _};

/// As many bytes are a hash, or a key.
const HASH_BYTES: usize = 32;
/// So many of its bytes are shown: enough to tell it from the others of a run.
const SHOWN_HASH_BYTES: usize = 4;
/// Fewer numbers than this are no bytes.
const FEWEST_BYTES: usize = 8;
/// Of a text that is longer than this only the beginning is shown.
const LONGEST_TEXT: usize = 40;
/// A line that is longer than this is cut.
const LONGEST_LINE: usize = 240;
/// What holds a number of milliseconds.
const MILLISECONDS: &str = "Timestamp(";
/// What holds a number of nanoseconds.
const NANOSECONDS: &str = "Instant(";

/// `value` as `Debug` writes it, shortened.
pub fn compact(value: &dyn Debug) -> String {
    shorten(&format!("{value:?}"))
}

/// The same for what `Debug` has written, with other words around it.
pub fn shorten(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    // No character has more than four bytes.
    while !rest.is_empty() && short.len() <= 4 * LONGEST_LINE {
        rest = one(rest, &mut short);
    }
    if short.chars().count() > LONGEST_LINE || !rest.is_empty() {
        short = short.chars().take(LONGEST_LINE - 1).collect();
        short.push('…');
    }
    short
}

/// Shortens what `text` begins with, and gives what follows.
fn one<'a>(text: &'a str, short: &mut String) -> &'a str {
    if let Some((bytes, rest)) = bytes(text) {
        // Writing to a String cannot fail.
        let _ = match bytes.get(..SHOWN_HASH_BYTES) {
            Some(shown) if bytes.len() == HASH_BYTES => {
                write!(short, "{}…", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
            _ => write!(short, "<{} bytes>", bytes.len()),
        };
        return rest;
    }
    if let Some((quoted, rest)) = quoted(text) {
        if quoted.chars().count() > LONGEST_TEXT {
            let beginning: String = quoted.chars().take(LONGEST_TEXT / 2).collect();
            let _ = write!(short, "\"{beginning}…\" <{} bytes>", quoted.len());
        } else {
            let _ = write!(short, "\"{quoted}\"");
        }
        return rest;
    }
    for (kind, a_second) in [(MILLISECONDS, 1e3), (NANOSECONDS, 1e9)] {
        if let Some((number, rest)) = text.strip_prefix(kind).and_then(|text| text.split_once(')'))
            && let Ok(number) = number.parse::<i64>()
        {
            let _ = write!(short, "{:.3} s", number as f64 / a_second);
            return rest;
        }
    }
    let first = text.chars().next().map_or(0, char::len_utf8);
    short.push_str(&text[..first]);
    &text[first..]
}

/// A list of bytes, and what follows it.
fn bytes(text: &str) -> Option<(Vec<u8>, &str)> {
    let (list, rest) = text.strip_prefix('[')?.split_once(']')?;
    let bytes: Option<Vec<u8>> = list.split(", ").map(|number| number.parse().ok()).collect();
    bytes.filter(|bytes| bytes.len() >= FEWEST_BYTES).map(|bytes| (bytes, rest))
}

/// What is between two quotation marks, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let mut escaped = false;
    for (place, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((&text[..place], &text[place + 1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::id::ConnectionId;
    use toom_core::time::{Instant, Timestamp};

    #[derive(Debug)]
    #[expect(dead_code, reason = "only its Debug is looked at")]
    struct Message {
        connection: ConnectionId,
        at: Timestamp,
        key: [u8; 32],
        sealed: Vec<u8>,
        numbers: Vec<u64>,
        text: String,
    }

    #[test]
    fn bytes_hashes_times_and_long_texts_are_short() {
        let message = Message {
            connection: ConnectionId(7),
            at: Timestamp::from_millis(1_500),
            key: [0xab; 32],
            sealed: vec![9; 300],
            numbers: vec![1, 2, 300],
            text: format!("a \"quoted\" {}", "x".repeat(1_000)),
        };
        let words = compact(&message);
        for part in ["abababab…", "sealed: <300 bytes>", "[1, 2, 300]", "1.500 s", "…\" <1013 bytes> }"] {
            assert!(words.contains(part), "no {part:?} in {words}");
        }
        assert!(words.len() < LONGEST_LINE, "{words}");
        assert_eq!(compact(&Some(Instant::from_nanos(2_500_000_000))), "Some(2.500 s)");
    }

    #[test]
    fn whatever_the_words_they_are_cut_in_one_piece() {
        for text in ["\"", "[", "[1, 2", "Timestamp(x)", "é", "\"\\", "client 3: [1, 2, 3]"] {
            assert_eq!(shorten(text), text);
        }
        let cut = shorten(&"é, ".repeat(1_000));
        assert_eq!((cut.chars().count(), cut.chars().last()), (LONGEST_LINE, Some('…')));
    }
}
