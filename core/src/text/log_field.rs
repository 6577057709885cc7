//! Fields of the assignment's text logs: one row is one line, `;` separates, nobody can forge a row.

use std::borrow::Cow;

/// `\` as `\\`, `;` as `\;`, CR as `\r`, LF as `\n`; all else as it is.
pub fn escape_log_field(field: &str) -> Cow<'_, str> {
    if !field.contains(['\\', ';', '\r', '\n']) {
        return Cow::Borrowed(field);
    }
    let mut escaped = String::with_capacity(field.len() + 8);
    for c in field.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            ';' => escaped.push_str("\\;"),
            '\r' => escaped.push_str("\\r"),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// The inverse of [`escape_log_field`]; `None` if `field` is not something that it writes.
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
            prop_assert!(!escaped.contains(['\r', '\n']));
            prop_assert_eq!(unescape_log_field(&escaped), Some(field.clone()));
        }
    }

    #[test]
    fn a_row_cannot_be_forged() {
        assert_eq!(escape_log_field("hi\n9; today; yoda; no"), "hi\\n9\\; today\\; yoda\\; no");
    }
}
