//! Characters that steer a terminal, and those that nobody sees.

/// Whether a terminal, or whatever splits text into lines, obeys `c`: C0 and C1 controls, DEL, the separators of
/// lines and paragraphs, and the bidirectional controls (Unicode TR 36, section 3.1).
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether `c` is shown as nothing where it is not supported (`Default_Ignorable_Code_Point` of Unicode 16,
/// section 5.21): names that differ only in these look the same.
pub fn is_default_ignorable(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `c` must never reach a terminal: [controls](is_control), interlinear marks, and whatever
/// [hides](is_default_ignorable), except the joiners and selectors that some scripts and emoji need
/// (`belongs_after`).
pub fn is_unprintable(c: char) -> bool {
    is_control(c)
        || matches!(c, '\u{fff9}'..='\u{fffb}')
        || (is_default_ignorable(c) && !is_joiner(c) && !is_selector(c))
}

/// Whether the joiner or selector `c` makes sense between these two, so that the words of a script that needs it,
/// and composed emoji, stay what they are.
pub(super) fn belongs_after(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match c {
        '\u{200d}' if is_emoji(before) || before == '\u{fe0f}' => after.is_some_and(is_emoji),
        _ if is_joiner(c) => joins(before),
        // Free variation selectors and the vowel separator of Mongolian.
        '\u{180b}'..='\u{180f}' => matches!(before, '\u{1820}'..='\u{18aa}'),
        '\u{fe00}'..='\u{fe0f}' => has_variants(before),
        // Variants of ideographs, some of which are only in people's names.
        _ => is_selector(c) && is_ideograph(before),
    }
}

/// Zero width space, non-joiner and joiner.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Scripts whose letters take another shape beside a joiner, or that have no spaces between words: from Arabic to
/// Myanmar, Khmer, Mongolian, and the later blocks of such scripts.
fn joins(c: char) -> bool {
    matches!(c,
        '\u{0600}'..='\u{109f}' | '\u{1780}'..='\u{180a}' | '\u{1820}'..='\u{18af}' | '\u{1900}'..='\u{1cff}'
        | '\u{a800}'..='\u{aadf}' | '\u{abc0}'..='\u{abff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10a00}'..='\u{11fff}' | '\u{1e900}'..='\u{1e95f}')
        && !is_default_ignorable(c)
        && !is_control(c)
}

/// Symbols, most of which are emoji.
fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// What the sixteen variation selectors are for: emoji, the keys of a telephone, mathematics, ideographs, Myanmar.
fn has_variants(c: char) -> bool {
    is_emoji(c) || is_ideograph(c) || matches!(c, '0'..='9' | '#' | '*' | '\u{1000}'..='\u{109f}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

    #[test]
    fn the_default_ignorable_are_those_of_an_independent_table() {
        // A skeleton (UTS 39) is made without them, and each is a skeleton of nothing.
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let text = c.to_string();
            let vanishes = unicode_security::skeleton(&text).next().is_none();
            assert_eq!(is_default_ignorable(c), vanishes, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn no_control_and_no_separator_is_printable() {
        use GeneralCategory::{Control, LineSeparator, ParagraphSeparator};
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            if matches!(c.general_category(), Control | LineSeparator | ParagraphSeparator) {
                assert!(is_control(c) && is_unprintable(c), "U+{:04X}", u32::from(c));
            }
            // What may be printed although it is invisible is printed beside some characters only.
            if is_default_ignorable(c) && !is_unprintable(c) {
                assert!(!belongs_after(None, c, Some('x')) && !belongs_after(Some('x'), c, Some('x')));
                assert!(!belongs_after(Some(c), c, None), "U+{:04X}", u32::from(c));
            }
        }
    }
}
