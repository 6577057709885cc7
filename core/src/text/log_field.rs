//! Fields of the assignment's text logs: one row is one line, `;` separates, nobody can forge a row.
//!
//! The escapes are the assignment's and no others, so that whoever reads the logs needs to know no more than these.
//! But people look at logs in terminals, and other programs take more than a line feed for the end of a line. So
//! controls, other than those with an escape, and tabs, which harm nobody, are replaced. All else stays as it was
//! written, invisible characters and many marks on one letter too: the logs are a record.

use std::borrow::Cow;

use super::is_control;

/// `\` as `\\`, `;` as `\;`, CR as `\r`, LF as `\n`; other [controls](is_control) except tabs as U+FFFD; all else as
/// it is.
pub fn escape_log_field(field: &str) -> Cow<'_, str> {
    if !field.contains(|c| c == '\\' || c == ';' || is_replaced(c) || c == '\r' || c == '\n') {
        return Cow::Borrowed(field);
    }
    let mut escaped = String::with_capacity(field.len() + 8);
    for c in field.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            ';' => escaped.push_str("\\;"),
            '\r' => escaped.push_str("\\r"),
            '\n' => escaped.push_str("\\n"),
            c if is_replaced(c) => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a log has U+FFFD for `c`.
fn is_replaced(c: char) -> bool {
    is_control(c) && !matches!(c, '\t' | '\r' | '\n')
}

/// The text of a field, as far as it was not replaced; `None` if `field` is not something that [`escape_log_field`]
/// writes.
pub fn unescape_log_field(field: &str) -> Option<String> {
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                ';' => ';',
                'r' => '\r',
                'n' => '\n',
                _ => return None,
            },
            ';' | '\r' | '\n' => return None,
            c if is_replaced(c) => return None,
            c => c,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escaping_is_reversible_and_keeps_to_its_field(field in any::<String>()) {
            let escaped = escape_log_field(&field);
            prop_assert!(!escaped.contains(|c| is_control(c) && c != '\t'));
            let kept: String = field.chars().map(|c| if is_replaced(c) { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(unescape_log_field(&escaped), Some(kept));
        }
    }

    #[test]
    fn a_row_cannot_be_forged() {
        assert_eq!(escape_log_field("hi\n9; today; yoda; no"), "hi\\n9\\; today\\; yoda\\; no");
        // Python's splitlines ends a line at each of these.
        let ends = "\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
        assert_eq!(escape_log_field(ends), "\u{fffd}".repeat(8));
    }

    #[test]
    fn who_shows_a_log_in_a_terminal_is_not_steered_by_it() {
        assert_eq!(escape_log_field("a\u{1b}]0;x\u{7}b\tc\u{202e}d"), "a\u{fffd}]0\\;x\u{fffd}b\tc\u{fffd}d");
        let kept = "👩\u{200d}🚀 می\u{200c}خواهم soft\u{ad}hyphen";
        assert!(matches!(escape_log_field(kept), Cow::Borrowed(text) if text == kept));
    }
}
