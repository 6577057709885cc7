//! A user's name: checked once, then carried as a type.

use core::borrow::Borrow;
use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::wire::limits::MAX_NAME_BYTES;

/// A user's name: 1 to [`MAX_NAME_BYTES`] bytes, no white space, no control characters, none of `#;,:/\`
/// (which mean something in commands, logs and file names), not starting with `-` or `.`. Case-sensitive.
/// Cheap to clone.
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
    /// White space, a control character, or one with a meaning elsewhere.
    #[error("a user's name cannot contain white space, control characters or any of # ; , : / \\")]
    BadCharacter,
    /// `-` or `.` at the start.
    #[error("a user's name cannot start with '-' or '.'")]
    BadStart,
}

impl UserName {
    /// Checks `text` and makes it a name.
    pub fn new(text: &str) -> Result<UserName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong);
        }
        let bad = |c: char| c.is_whitespace() || crate::text::is_unprintable(c) || "#;,:/\\".contains(c);
        if text.chars().any(bad) {
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
        UserName::new(&text).map_err(serde::de::Error::custom)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
