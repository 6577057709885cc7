//! Text for a terminal: nothing in it can move the cursor, change colours, or reorder what is read.

use std::borrow::Cow;

/// Whether `c` must never reach a terminal as it is: C0 and C1 controls, DEL, line and paragraph separators,
/// the bidirectional controls (Unicode TR 36, section 3.1), invisible tags and the byte-order mark.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with every [unprintable](is_unprintable) character replaced by U+FFFD, tabs by a space.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let replace = |c| match c {
        '\t' => ' ',
        c if is_unprintable(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_taken_apart() {
        assert_eq!(printable("a\u{1b}[31mb\tc\r\n"), "a\u{fffd}[31mb c\u{fffd}\u{fffd}");
        assert_eq!(printable("gro\u{202e}fdp"), "gro\u{fffd}fdp");
        assert!(matches!(printable("naïve 日本"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_unprintable_is_left(text in any::<String>()) {
            let clean = printable(&text);
            prop_assert!(!clean.contains(is_unprintable));
            prop_assert_eq!(printable(&clean), clean.as_ref());
        }
    }
}
