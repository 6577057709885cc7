//! A user's name: checked once, then carried as a type.

mod lookalikes;

use core::borrow::Borrow;
use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::text::{is_control, is_default_ignorable, printable};
use crate::wire::limits::MAX_NAME_BYTES;

pub use lookalikes::Lookalikes;

/// A user's name: 1 to [`MAX_NAME_BYTES`] bytes in normalisation form C (Unicode annex 15), no white space, nothing
/// that cannot be shown or is not seen, none of `#;,:/\` (which mean something in commands, logs and file names), not
/// starting with `-` or `.`. Case-sensitive. Cheap to clone.
///
/// Names of accounts that earlier versions made may break some of these rules ([`UserName::read`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(Arc<str>);

/// Why a text is not a user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a user's name cannot be empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("a user's name can have at most {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// White space, something invisible, or one with a meaning elsewhere.
    #[error("a user's name cannot contain white space, control or invisible characters or any of # ; , : / \\")]
    BadCharacter,
    /// More marks on one letter than can be shown, or one without a letter.
    #[error("a user's name cannot have so many accents on one letter, or accents without a letter")]
    BadMarks,
    /// `-` or `.` at the start.
    #[error("a user's name cannot start with '-' or '.'")]
    BadStart,
}

impl UserName {
    /// Checks `text`, as somebody typed it, and makes it a name for a new account.
    pub fn new(text: &str) -> Result<UserName, NameError> {
        let text = composed(text);
        let name = UserName::read(&text)?;
        if text.contains(is_default_ignorable) {
            return Err(NameError::BadCharacter);
        }
        match printable(&text) == text {
            true => Ok(name),
            false => Err(NameError::BadMarks),
        }
    }

    /// Reads a name as a log or a server has it. The first versions did not normalise names, and took some that
    /// cannot be seen; who has one keeps it.
    pub fn read(text: &str) -> Result<UserName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong);
        }
        let never_allowed =
            |c| matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}') || is_control(c);
        if text.contains(|c: char| c.is_whitespace() || never_allowed(c) || "#;,:/\\".contains(c)) {
            return Err(NameError::BadCharacter);
        }
        if text.starts_with(['-', '.']) {
            return Err(NameError::BadStart);
        }
        Ok(UserName(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        UserName::read(&text).map_err(serde::de::Error::custom)
    }
}

impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A name that somebody typed, in the form in which accounts have it: keyboards and systems differ in whether an
/// accented letter is one character or two. What would be too long for a name then stays as it is.
pub fn normalised(text: &str) -> Cow<'_, str> {
    let composed = composed(text);
    match composed.len() <= text.len().max(MAX_NAME_BYTES) {
        true => composed,
        false => Cow::Borrowed(text),
    }
}

/// In normalisation form C.
fn composed(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.nfc().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_new_name_is_normalised_and_can_be_shown(text in "[a-zA-Zé\u{301}\u{308}\u{212a}\u{37e}क\u{93c}\u{200d} -]{0,12}|\\PC{0,12}") {
            if let Ok(name) = UserName::new(&text) {
                prop_assert_eq!(UserName::new(name.as_str()), Ok(name.clone()));
                prop_assert_eq!(UserName::read(name.as_str()), Ok(name.clone()));
                prop_assert_eq!(&*normalised(&text), name.as_str());
                prop_assert_eq!(printable(name.as_str()), name.as_str());
                prop_assert!(unicode_normalization::is_nfc(name.as_str()) && name.as_str().len() <= MAX_NAME_BYTES);
            }
        }
    }

    #[test]
    fn names_are_checked() {
        for good in ["yoda", "Obi-wan", "R2D2", "Zoë", "a.b", "x"] {
            assert_eq!(UserName::new(good).map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("a b", NameError::BadCharacter),
            ("a\u{202e}b", NameError::BadCharacter),
            ("a\u{1b}b", NameError::BadCharacter),
            ("a;b", NameError::BadCharacter),
            ("../x", NameError::BadCharacter),
            (".x", NameError::BadStart),
            ("-x", NameError::BadStart),
        ] {
            assert_eq!(UserName::new(bad), Err(why), "{bad:?}");
        }
        assert_eq!(UserName::new(&"x".repeat(MAX_NAME_BYTES + 1)), Err(NameError::TooLong));
    }

    #[test]
    fn one_name_has_one_spelling() {
        let name = UserName::new("Zoe\u{308}").unwrap();
        assert_eq!((name.as_str(), UserName::new("Zo\u{eb}").unwrap()), ("Zo\u{eb}", name.clone()));
        // The Kelvin sign is a K, and the Greek question mark a semicolon.
        assert_eq!(UserName::new("\u{212a}").unwrap().as_str(), "K");
        assert_eq!(UserName::new("a\u{37e}"), Err(NameError::BadCharacter));
        // As many letters as fit when they are composed.
        assert!(UserName::new(&"e\u{301}".repeat(MAX_NAME_BYTES / 2)).is_ok());
        // A letter that is longer when it is normalised.
        assert_eq!(UserName::new(&"\u{958}".repeat(MAX_NAME_BYTES / 3)), Err(NameError::TooLong));
    }

    #[test]
    fn what_is_not_seen_is_in_no_new_name() {
        for bad in ["yo\u{200b}da", "yo\u{200d}da", "yoda\u{fe0f}", "yo\u{ad}da", "\u{3164}", "👩\u{200d}🚀"] {
            assert_eq!(UserName::new(bad), Err(NameError::BadCharacter), "{bad:?}");
        }
        for bad in ["\u{301}x".to_owned(), format!("x{}", "\u{30a}\u{323}".repeat(4))] {
            assert_eq!(UserName::new(&bad), Err(NameError::BadMarks), "{bad:?}");
        }
        for good in ["अमिता", "สมชาย", "محمد", "김철수", "Nguyễn", "🦊"] {
            assert_eq!(UserName::new(good).map(|n| n.to_string()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn names_of_earlier_versions_are_read_as_they_are() {
        for old in ["Zoe\u{308}", "yo\u{200b}da", "👩\u{200d}🚀", "\u{301}x"] {
            let bytes = rmp_serde::to_vec(old).unwrap();
            let name: UserName = rmp_serde::from_slice(&bytes).unwrap();
            assert_eq!(name.as_str(), old);
            assert_eq!(rmp_serde::to_vec(&name).unwrap(), bytes);
        }
        for never in ["", "a b", "a\u{1b}b", "a\u{202e}b", "a\u{200e}b", "a;b", "a\u{feff}b", ".x"] {
            assert!(UserName::read(never).is_err(), "{never:?}");
        }
    }
}
