//! Where a control sequence of a terminal ends (ECMA-48, fifth edition, sections 5.3 to 5.6).

const ESC: char = '\u{1b}';
const BEL: char = '\u{7}';
/// String terminator: the end of OSC, DCS and the like.
const ST: char = '\u{9c}';
/// Cancel and substitute end whatever sequence they are in (VT100 and all that followed it).
const CANCELS: [char; 2] = ['\u{18}', '\u{1a}'];

/// How many bytes at the start of `text`, which begins with a control character, are one sequence.
///
/// A sequence without its end is only its introducer: who forgets the end of a title must not hide the rest of a
/// line from who reads it.
pub(super) fn sequence_length(text: &str) -> usize {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return 0 };
    let rest = characters.as_str();
    if first != ESC {
        return first.len_utf8() + length_after(first, rest).unwrap_or(0);
    }
    match rest.chars().next() {
        // ESC and one of these is how seven bits write a C1 control (section 5.3).
        Some(second @ '@'..='_') => {
            let c1 = char::from_u32(u32::from(second) + 0x40).unwrap_or(ST);
            2 + length_after(c1, &rest[1..]).unwrap_or(0)
        }
        _ => 1 + length_of_escape(rest).unwrap_or(0),
    }
}

/// How many bytes belong to the C1 control `introducer` that stood before `rest`; `None` if the end is missing.
fn length_after(introducer: char, rest: &str) -> Option<usize> {
    match introducer {
        // CSI: parameters, intermediates, and one final byte.
        '\u{9b}' => {
            let parameters = count(rest, '0'..='?');
            let intermediates = count(&rest[parameters..], ' '..='/');
            let length = parameters + intermediates;
            starts_with(&rest[length..], '@'..='~').then_some(length + 1)
        }
        // DCS, SOS, OSC, PM, APC: up to the string terminator.
        '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => length_of_string(rest),
        _ => Some(0),
    }
}

/// Up to ST, and to BEL, which xterm takes for one.
fn length_of_string(rest: &str) -> Option<usize> {
    let end = rest.find(|c| c == ESC || c == BEL || c == ST || CANCELS.contains(&c))?;
    let terminator = rest[end..].chars().next()?;
    match terminator {
        ESC if rest[end + 1..].starts_with('\\') => Some(end + 2),
        // Another sequence begins, which ends this one, and which is looked at next.
        ESC => Some(end),
        other => Some(end + other.len_utf8()),
    }
}

/// ESC with intermediates and one final byte: which character sets there are, a reset, and others.
fn length_of_escape(rest: &str) -> Option<usize> {
    let intermediates = count(rest, ' '..='/');
    starts_with(&rest[intermediates..], '0'..='~').then_some(intermediates + 1)
}

/// How many characters at the start are of this range of ASCII.
fn count(text: &str, range: core::ops::RangeInclusive<char>) -> usize {
    text.chars().take_while(|c| range.contains(c)).count()
}

fn starts_with(text: &str, range: core::ops::RangeInclusive<char>) -> bool {
    text.starts_with(|c| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_sequence_is_one() {
        for sequence in [
            "\u{7}",
            "\r",
            "\u{85}",
            "\u{1b}[31m",
            "\u{1b}[?25l",
            "\u{1b}[0 q",
            "\u{9b}2J",
            "\u{1b}]0;x\u{7}",
            "\u{1b}]0;x\u{1b}\\",
            "\u{1b}]8;;http://x\u{9c}",
            "\u{9d}0;x\u{7}",
            "\u{1b}P+q\u{1b}\\",
            "\u{1b}_Gdata\u{1b}\\",
            "\u{1b}^é\u{1b}\\",
            "\u{1b}Xx\u{18}",
            "\u{1b}c",
            "\u{1b}(B",
            "\u{1b}#8",
            "\u{1b}7",
            "\u{1b}M",
        ] {
            assert_eq!(sequence_length(sequence), sequence.len(), "{sequence:?}");
            assert_eq!(sequence_length(&format!("{sequence}text")), sequence.len(), "{sequence:?}");
        }
    }

    #[test]
    fn without_its_end_it_is_only_the_introducer() {
        for (text, length) in [
            ("\u{1b}", 1),
            ("\u{1b}é", 1),
            ("\u{1b}\u{1b}[m", 1),
            ("\u{1b}[31é", 2),
            ("\u{1b}[31", 2),
            ("\u{1b}]0;everything that follows", 2),
            ("\u{9d}0;everything that follows", 2),
            ("\u{1b}(é", 1),
        ] {
            assert_eq!(sequence_length(text), length, "{text:?}");
        }
        // A string that another sequence ends.
        assert_eq!(sequence_length("\u{1b}]0;x\u{1b}[m"), 5);
    }
}
