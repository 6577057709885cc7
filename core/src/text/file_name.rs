//! Names of received files: labels, never paths.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::is_unprintable;
use crate::name::UserName;

/// The most bytes in a file name on the common file systems (`NAME_MAX` on Linux).
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// Room left for the sender's name, ` (123)` and `.part` beside a label.
const MAX_LABEL_BYTES: usize = 160;

/// What a sender calls a file: a base name without separators, controls or reserved names, at most
/// 160 bytes.
///
/// Made by cleaning, not by refusing: whatever a peer says becomes a harmless label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FileLabel(String);

impl FileLabel {
    /// The harmless label for `name`: what follows its last separator, with unprintable characters replaced
    /// by `_`. Dots at its start stay: the sender's name goes in front of them ([`received_name`]).
    pub fn new(name: &str) -> FileLabel {
        let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut label: String = base.chars().map(|c| if is_unprintable(c) { '_' } else { c }).collect();
        trim_end(&mut label);
        if is_reserved_on_windows(&label) {
            label.insert(0, '_');
        }
        shorten(&mut label, MAX_LABEL_BYTES);
        trim_end(&mut label);
        if label.is_empty() { FileLabel("unnamed".into()) } else { FileLabel(label) }
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for FileLabel {
    fn from(name: String) -> Self {
        FileLabel::new(&name)
    }
}

impl From<FileLabel> for String {
    fn from(label: FileLabel) -> Self {
        label.0
    }
}

impl fmt::Display for FileLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name under which a received file is stored: `sender_filename`.
pub fn received_name(sender: &UserName, label: &FileLabel) -> String {
    format!("{sender}_{label}")
}

/// The `attempt`th name to try for `name`: itself for 1, then `stem (2).ext`, `stem (3).ext`.
pub fn alternative_name(name: &str, attempt: u32) -> String {
    if attempt <= 1 {
        return name.to_owned();
    }
    match name.rfind('.') {
        Some(dot) if dot > 0 => format!("{} ({attempt}){}", &name[..dot], &name[dot..]),
        _ => format!("{name} ({attempt})"),
    }
}

/// Cuts the stem of `label` so that it has at most `most` bytes, keeping a short extension.
fn shorten(label: &mut String, most: usize) {
    if label.len() <= most {
        return;
    }
    let extension = match label.rfind('.') {
        Some(dot) if label.len() - dot <= 16 => label[dot..].to_owned(),
        _ => String::new(),
    };
    let mut end = most - extension.len();
    while !label.is_char_boundary(end) {
        end -= 1;
    }
    label.truncate(end);
    label.push_str(&extension);
}

/// Windows drops dots and spaces at the end, so that two names could become one.
fn trim_end(label: &mut String) {
    label.truncate(label.trim_end_matches([' ', '.']).len());
}

/// Whether Windows takes the name for a device, whatever its extension.
fn is_reserved_on_windows(label: &str) -> bool {
    let stem = label.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered =
        |prefix: &str| stem.strip_prefix(prefix).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_harmless() {
        for (name, label) in [
            ("../../etc/passwd", "passwd"),
            ("..", "unnamed"),
            ("/", "unnamed"),
            ("", "unnamed"),
            ("C:\\x\\film.mp4", "film.mp4"),
            ("a\u{202e}4pm.exe", "a_4pm.exe"),
            (".bashrc", ".bashrc"),
            (" lead", " lead"),
            ("what?.txt", "what?.txt"),
            ("trail. .", "trail"),
            ("nul.txt", "_nul.txt"),
            ("PRN ", "_PRN"),
            ("aux .c", "_aux .c"),
            ("com1", "_com1"),
            ("community", "community"),
            ("film one.mp4", "film one.mp4"),
        ] {
            assert_eq!(FileLabel::new(name).as_str(), label, "{name:?}");
        }
    }

    #[test]
    fn alternatives_go_before_the_extension() {
        assert_eq!(alternative_name("yoda_a.tar.gz", 1), "yoda_a.tar.gz");
        assert_eq!(alternative_name("yoda_a.mp4", 2), "yoda_a (2).mp4");
        assert_eq!(alternative_name("yoda_README", 3), "yoda_README (3)");
    }

    #[test]
    fn a_reserved_name_that_is_too_long_is_still_cut_to_the_limit() {
        let label = FileLabel::new(&format!("nul.{}", "x".repeat(400)));
        assert_eq!(label.as_str().len(), MAX_LABEL_BYTES);
        assert_eq!(FileLabel::new(label.as_str()), label);
    }

    proptest! {
        #[test]
        fn any_label_is_a_base_name(name in any::<String>()) {
            let label = FileLabel::new(&name);
            let text = label.as_str();
            prop_assert!(!text.is_empty() && text.len() <= MAX_LABEL_BYTES);
            prop_assert!(!text.contains(['/', '\\', '\0']) && !text.contains(is_unprintable));
            prop_assert!(text != "." && text != "..");
            prop_assert_eq!(FileLabel::new(text), label.clone());
        }
    }
}
