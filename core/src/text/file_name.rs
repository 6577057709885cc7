//! Names of received files: labels, never paths.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::printable;
use crate::name::UserName;

/// The most bytes in a file name on the common file systems (`NAME_MAX` on Linux).
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// Room left for the sender's name, ` (10000)`, and what a partial file has around its name.
const MAX_LABEL_BYTES: usize = 160;

/// What a sender calls a file: a base name without separators, controls or reserved names, at most
/// 160 bytes.
///
/// Made by cleaning, not by refusing: whatever a peer says becomes a harmless label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FileLabel(String);

impl FileLabel {
    /// The harmless label for `name`: what follows its last separator, with what cannot be shown ([`printable`])
    /// replaced by `_`. Dots at its start stay: the sender's name goes in front of them ([`received_name`]).
    pub fn new(name: &str) -> FileLabel {
        let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut label = base.to_owned();
        // A cut may leave half of what was one character, or a name that is reserved. Each round makes the label
        // shorter, or replaces something by `_`, so that there are few.
        loop {
            let cleaned = cleaned(&label);
            if cleaned == label {
                break;
            }
            label = cleaned;
        }
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

/// The `attempt`th name to try for a received file: `sender_stem.ext` for 1, then `sender_stem (2).ext`,
/// `sender_stem (3).ext`. It has no separators, since neither part has.
pub fn received_name(sender: &UserName, label: &FileLabel, attempt: u32) -> String {
    let sender = without_unprintable(sender.as_str());
    let FileLabel(label) = label;
    match label.rfind('.') {
        _ if attempt <= 1 => format!("{sender}_{label}"),
        // A dot at the start of a name does not begin an extension.
        Some(dot) if dot > 0 => format!("{sender}_{} ({attempt}){}", &label[..dot], &label[dot..]),
        _ => format!("{sender}_{label} ({attempt})"),
    }
}

fn cleaned(label: &str) -> String {
    let mut label = without_unprintable(label);
    trim_end(&mut label);
    if is_reserved_on_windows(&label) {
        label.insert(0, '_');
    }
    shorten(&mut label, MAX_LABEL_BYTES);
    label
}

fn without_unprintable(name: &str) -> String {
    printable(name).replace(char::REPLACEMENT_CHARACTER, "_")
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
    let is_digit =
        |digit: &str| matches!(digit, "¹" | "²" | "³") || (digit.len() == 1 && digit.as_bytes()[0].is_ascii_digit());
    let numbered = |device: &str| stem.strip_prefix(device).is_some_and(is_digit);
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
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
            ("\u{1b}]0;x\u{7}", "_"),
            ("\u{1b}[31mred\u{1b}[0m.txt", "_red_.txt"),
            ("a\u{200b}b\u{e0041}.txt", "a_b_.txt"),
            ("\u{301}.txt", "\u{25cc}\u{301}.txt"),
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("..\\..\\.ssh\\authorized_keys", "authorized_keys"),
            ("CON", "_CON"),
            ("COM²", "_COM²"),
            ("conout$.txt", "_conout$.txt"),
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

    fn names(sender: &str, label: &str) -> [String; 2] {
        let (sender, label) = (UserName::new(sender).unwrap(), FileLabel::new(label));
        [1, 12].map(|attempt| received_name(&sender, &label, attempt))
    }

    #[test]
    fn alternatives_go_before_the_extension_of_the_label() {
        assert_eq!(names("yoda", "a.mp4"), ["yoda_a.mp4", "yoda_a (12).mp4"]);
        assert_eq!(names("yoda", "a.tar.gz"), ["yoda_a.tar.gz", "yoda_a.tar (12).gz"]);
        assert_eq!(names("yoda", "README"), ["yoda_README", "yoda_README (12)"]);
        assert_eq!(names("yo.da", "README"), ["yo.da_README", "yo.da_README (12)"]);
        assert_eq!(names("yoda", ".bashrc"), ["yoda_.bashrc", "yoda_.bashrc (12)"]);
    }

    #[test]
    fn the_longest_names_fit_with_all_that_is_put_around_them() {
        // An early account may have a name that needs something to stand on.
        let sender = UserName::read(&format!("\u{301}{}", "s".repeat(62))).unwrap();
        let label = FileLabel::new(&"l".repeat(300));
        let name = received_name(&sender, &label, 10_000);
        assert!(format!(".{name}.0123abcd.part").len() <= MAX_FILE_NAME_BYTES, "{}", name.len());
    }

    #[test]
    fn a_reserved_name_that_is_too_long_is_still_cut_to_the_limit() {
        let label = FileLabel::new(&format!("nul.{}", "x".repeat(400)));
        assert_eq!(label.as_str().len(), MAX_LABEL_BYTES);
        assert_eq!(FileLabel::new(label.as_str()), label);
        let label = FileLabel::new(&format!("con{}x", " ".repeat(300)));
        assert_eq!(label.as_str(), "_con");
    }

    #[test]
    fn whoever_sends_a_path_is_heard_as_a_label() {
        for (sent, label) in
            [("../../.ssh/authorized_keys", "authorized_keys"), ("\u{1b}]0;x\u{7}", "_"), ("..", "unnamed")]
        {
            let heard: FileLabel = rmp_serde::from_slice(&rmp_serde::to_vec(sent).unwrap()).unwrap();
            assert_eq!(heard.as_str(), label);
        }
    }

    #[test]
    fn a_cut_within_an_emoji_leaves_nothing_hidden() {
        let label = FileLabel::new(&format!("{}{}", "x".repeat(153), "👩\u{200d}👧"));
        assert_eq!(label.as_str(), format!("{}👩_", "x".repeat(153)));
    }

    proptest! {
        #[test]
        fn any_label_is_a_base_name(name in any::<String>()) {
            let label = FileLabel::new(&name);
            let text = label.as_str();
            prop_assert!(!text.is_empty() && text.len() <= MAX_LABEL_BYTES);
            prop_assert!(!text.contains(['/', '\\', '\0']));
            prop_assert_eq!(printable(text), text);
            prop_assert!(text != "." && text != "..");
            prop_assert_eq!(FileLabel::new(text), label.clone());
        }
    }
}
