//! Text of others on its way to a terminal: nothing in it can move the cursor, change colours or the title, reorder
//! what is read, hide, or run over the lines beside it.
//!
//! What becomes of it:
//! - A control sequence (colours, titles, device control, in seven bits or eight) becomes U+FFFD as a whole, so that
//!   its parameters are not taken for text; without its end, its introducer does. So do single controls (a line feed
//!   too), separators of lines, bidirectional controls, tags, and other characters that nobody sees.
//! - What is replaced in a row becomes one U+FFFD. A tab becomes a space.
//! - Joiners and variation selectors stay after letters and emoji that they change, one after each.
//! - A letter keeps its first [`MAX_MARKS`] combining marks; a mark that is first in a text gets a dotted circle to
//!   stand on, lest it change what is shown before the text.

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::escape::sequence_length;
use super::hidden::{belongs_after, is_default_ignorable, is_unprintable};

/// Marks in a row that do not take room of their own. UTS 39, section 5.4, takes more than four for an abuse: they
/// are drawn over the lines above and below.
const MAX_MARKS: u32 = 4;
/// What marks that are shown without a letter stand on.
const DOTTED_CIRCLE: char = '\u{25cc}';

/// `text` in one line that is harmless to a terminal; the same again if it is already.
pub fn printable(text: &str) -> Cow<'_, str> {
    let plain = |c: char| match c {
        ' '..='~' => true,
        c => !is_unprintable(c) && !is_default_ignorable(c) && !attaches(c),
    };
    match text.chars().all(plain) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(clean(text)),
    }
}

/// `text` with each of its lines [made harmless](printable): for what is put together of several pieces, when no
/// piece of others can have a line feed any more.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return printable(text);
    }
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(printable).collect();
    match lines.iter().all(|line| matches!(line, Cow::Borrowed(_))) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(lines.join("\n")),
    }
}

fn clean(text: &str) -> String {
    let mut clean = Cleaned { text: String::with_capacity(text.len()), marks: 0, replaced: false };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if c.is_control() { sequence_length(rest) } else { c.len_utf8() };
        rest = &rest[length..];
        clean.add(c, rest.chars().next());
    }
    clean.text
}

/// A text that grows and is harmless.
struct Cleaned {
    text: String,
    /// How many marks there are on the last letter.
    marks: u32,
    /// Whether the last thing was replaced.
    replaced: bool,
}

impl Cleaned {
    /// Takes the next character (the first one of a control sequence), behind which `next` comes.
    fn add(&mut self, c: char, next: Option<char>) {
        if c == '\t' {
            self.base(' ');
        } else if is_unprintable(c) {
            self.replace();
        } else if is_default_ignorable(c) {
            match belongs_after(self.text.chars().next_back(), c, next) {
                true => self.text.push(c),
                false => self.replace(),
            }
        } else if !attaches(c) {
            self.base(c);
        } else if self.marks < MAX_MARKS {
            if self.text.is_empty() {
                self.text.push(DOTTED_CIRCLE);
            }
            self.text.push(c);
            self.marks += 1;
            self.replaced = false;
        } else {
            // As above, but those that follow must not find a new letter to stand on.
            self.replace();
            self.marks = MAX_MARKS;
        }
    }

    fn base(&mut self, c: char) {
        self.text.push(c);
        self.marks = 0;
        self.replaced = false;
    }

    fn replace(&mut self) {
        if !self.replaced {
            self.base(char::REPLACEMENT_CHARACTER);
            self.replaced = true;
        }
    }
}

/// Whether `c` is drawn over what is before it: combining marks that take no room of their own, and the vowels and
/// final consonants of Korean syllables that are written in pieces.
fn attaches(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark};
    match c {
        '\0'..='\u{2ff}' => false,
        '\u{1161}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}' => true,
        c => matches!(c.general_category(), NonspacingMark | EnclosingMark),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_control_sequence_becomes_one_mark_and_leaves_nothing_of_itself() {
        for (text, shown) in [
            ("a\u{1b}[31mb\tc\r\n", "a\u{fffd}b c\u{fffd}"),
            ("\u{1b}]0;x\u{7}hello", "\u{fffd}hello"),
            ("\u{9b}2Jhello\u{9d}0;x\u{9c}", "\u{fffd}hello\u{fffd}"),
            ("\u{1b}P1$r0m\u{1b}\\x", "\u{fffd}x"),
            ("\u{1b}[1m\u{1b}[31mred\u{1b}[0m", "\u{fffd}red\u{fffd}"),
            ("\u{1b}]0;no end", "\u{fffd}0;no end"),
            ("a\u{8}\u{8}\u{7f}b", "a\u{fffd}b"),
            ("line\nforged", "line\u{fffd}forged"),
            ("line\u{2028}forged\u{85}again", "line\u{fffd}forged\u{fffd}again"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    #[test]
    fn what_reorders_or_hides_is_shown_as_a_mark() {
        for (text, shown) in [
            ("gro\u{202e}fdp", "gro\u{fffd}fdp"),
            ("a\u{200b}b\u{200d}c\u{2060}d\u{ad}e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
            ("\u{feff}\u{e0041}\u{e0042}x", "\u{fffd}x"),
            ("x\u{fe0f}y\u{e0100}", "x\u{fffd}y\u{fffd}"),
            ("\u{3164}\u{115f}", "\u{fffd}"),
            ("\u{1f642}\u{fe0f}\u{fe0f}\u{fe00}", "\u{1f642}\u{fe0f}\u{fffd}"),
            ("\u{1f642}\u{200d}text", "\u{1f642}\u{fffd}text"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "naïve 日本語 Ελληνικά Привет",
            "مرحبا بالعالم، كيف حالك؟",
            "می\u{200c}خواهم",
            "שָׁלוֹם",
            "हिन्दी क्ष्मि श्री क\u{94d}\u{200d}ष",
            "ภาษาไทย ที่นี่ ก็ได้ น้ำ",
            "한국어",
            "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
            "လျှို့ဝှက်",
            "ខ្ញុំ\u{200b}ស្រឡាញ់",
            "བཀྲ་ཤིས་བདེ་ལེགས།",
            "Zoe\u{308} Tiê\u{301}ng Viê\u{323}t",
            "\u{845b}\u{e0100}",
            "1\u{fe0f}\u{20e3} ❤\u{fe0f} 👍\u{1f3fd}",
            "👩\u{200d}👩\u{200d}👧\u{200d}👦 👩\u{1f3fd}\u{200d}🚀 🏳\u{fe0f}\u{200d}🌈 ❤\u{fe0f}\u{200d}🔥 🇩🇪",
        ] {
            assert_eq!(printable(text), text);
        }
        assert!(matches!(printable("naïve 日本"), Cow::Borrowed(_)));
    }

    #[test]
    fn marks_in_a_row_are_few_and_stand_on_something() {
        let mark = "\u{301}";
        assert_eq!(printable(mark), format!("\u{25cc}{mark}"));
        assert_eq!(printable(&format!("a{}", mark.repeat(4))), format!("a{}", mark.repeat(4)));
        for many in [5, 6, 1_000] {
            let tall = format!("a{}b", mark.repeat(many));
            assert_eq!(printable(&tall), format!("a{}\u{fffd}b", mark.repeat(4)));
        }
        // Nor by what is invisible in between.
        let tall = format!("a{}\u{200d}{}b", mark.repeat(9), mark.repeat(9));
        assert_eq!(printable(&tall), format!("a{}\u{fffd}b", mark.repeat(4)));
        assert_eq!(printable(&"\u{e47}".repeat(40)), format!("\u{25cc}{}\u{fffd}", "\u{e47}".repeat(4)));
    }

    #[test]
    fn only_what_put_lines_together_may_part_them() {
        assert_eq!(printable_lines("a\n\u{301}\u{7}\n"), "a\n\u{25cc}\u{301}\u{fffd}\n");
        assert_eq!(printable_lines("a\u{1b}]0;\nb\u{7}"), "a\u{fffd}0;\nb\u{fffd}");
        assert!(matches!(printable_lines("a\nb"), Cow::Borrowed(_)));
    }

    /// Text in which what is dangerous is common.
    fn nasty() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            any::<char>().prop_map(String::from),
            "[ -~]{0,3}",
            proptest::sample::select(vec![
                "\u{1b}",
                "\u{1b}[",
                "\u{1b}]",
                "\u{1b}\\",
                "\u{9b}",
                "\u{9c}",
                "\u{7}",
                "\n",
                "\t",
                "\u{202e}",
                "\u{200b}",
                "\u{200c}",
                "\u{200d}",
                "\u{fe0f}",
                "\u{e0100}",
                "\u{e0041}",
                "\u{301}",
                "\u{e47}",
                "\u{20e3}",
                "\u{1161}",
                "क",
                "\u{94d}",
                "ا",
                "葛",
                "👩",
                "\u{1f3fd}",
                "\u{fffd}",
                "\u{25cc}",
            ])
            .prop_map(String::from),
        ];
        proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_unprintable_is_left_and_cleaning_twice_changes_nothing(text in nasty()) {
            let clean = printable(&text);
            prop_assert!(!clean.contains(is_unprintable));
            prop_assert_eq!(printable(&clean), clean.as_ref());
            prop_assert!(!clean.starts_with(attaches));
            let mut marks = 0;
            for c in clean.chars().filter(|c| !is_default_ignorable(*c)) {
                marks = if attaches(c) { marks + 1 } else { 0 };
                prop_assert!(marks <= MAX_MARKS, "{:?}", clean);
            }
        }

        #[test]
        fn a_line_is_cleaned_by_itself(lines in proptest::collection::vec(nasty(), 0..4)) {
            let lines: Vec<String> = lines.iter().map(|line| line.replace('\n', "")).collect();
            let clean: Vec<_> = lines.iter().map(|line| printable(line)).collect();
            let text = lines.join("\n");
            prop_assert_eq!(printable_lines(&text), clean.join("\n"));
        }
    }
}
