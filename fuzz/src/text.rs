//! What people and peers write, on its way to a terminal, a log or a file name; and times, as people type them.

use toom_core::name::UserName;
use toom_core::text::{
    FileLabel, escape_log_field, is_unprintable, printable, printable_lines, received_name, unescape_log_field,
};
use toom_core::time::Timestamp;

// A file of its own without the rest of its package, whose SQLite would be most of every build for fuzzing.
#[path = "../../store/src/wall.rs"]
pub mod wall;

/// Whatever a peer calls a file becomes one harmless name, and so does the file.
pub fn file_label(data: &[u8]) {
    let label = FileLabel::new(&String::from_utf8_lossy(data));
    let text = label.as_str();
    assert!(!text.is_empty() && text.len() <= 160 && text != "." && text != "..");
    assert!(!text.contains(['/', '\\', '\0']) && !text.ends_with(['.', ' ']));
    assert_eq!(printable(text), text, "it can be shown as it is");
    assert_eq!(FileLabel::new(text).as_str(), text, "cleaning twice changes nothing");
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    assert!(!["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&&*stem), "{text:?} is a device");

    let sender = "s".repeat(64);
    let Ok(sender) = UserName::new(&sender) else { panic!("a name") };
    for attempt in [1, 2, 10_000] {
        let name = received_name(&sender, &label, attempt);
        assert!(name.starts_with(&format!("{sender}_")) && !name.contains(['/', '\\', '\0']));
        assert!(name.len() + ".".len() + ".0123abcd.part".len() <= 255, "there is room for what a partial file has");
        assert_eq!(name.contains(&format!(" ({attempt})")), attempt > 1 || text.contains(" (1)"), "{name}");
    }
}

/// What reaches a terminal holds nothing that could steer it, hide, or run over other lines, and everything else as it
/// was.
pub fn printable_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let shown = printable(&text);
    assert!(!shown.contains(is_unprintable));
    if let Some(bad) = shown.chars().find(|c| steers_a_terminal(*c)) {
        panic!("{bad:?} reaches the terminal");
    }
    // ESC is gone, and so are the one-character forms of CSI, OSC and the like: no sequence can begin.
    assert!(!shown.bytes().any(|byte| byte < 0x20 || byte == 0x7f));
    assert_eq!(printable(&shown), shown, "cleaning twice changes nothing");
    assert!(shown.len() <= 3 * text.len(), "nothing becomes longer than U+FFFD");
    assert_nothing_hides(&shown);
    assert_nothing_is_tall(&shown);
    assert_nothing_is_made_up(&text, &shown);
    assert_sequences_vanish(&text);
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    assert_eq!(printable_lines(&text), lines.join("\n"));
}

/// A joiner or selector is alone, and behind something that it may change.
fn assert_nothing_hides(shown: &str) {
    let mut before = None;
    for c in shown.chars() {
        if hides(c) {
            let base = before.is_some_and(|it: char| !hides(it) || (it == '\u{fe0f}' && c == '\u{200d}'));
            let keycap = before.is_some_and(|it: char| "0123456789#*©®".contains(it));
            let foreign = before.is_some_and(|it| u32::from(it) >= 0x600);
            assert!(base && (keycap || foreign), "{c:?} hides behind {before:?}");
        }
        before = Some(c);
    }
}

/// No more than four accents in a row, and none without something to stand on.
fn assert_nothing_is_tall(shown: &str) {
    assert!(!shown.starts_with(is_accent), "an accent stands on what was shown before");
    let mut height = 0;
    for c in shown.chars().filter(|c| !hides(*c)) {
        height = if is_accent(c) { height + 1 } else { 0 };
        assert!(height <= 4, "{shown:?} is too tall");
    }
}

/// All that is shown was there, in the same order, except for what stands for something else. Without a control,
/// nothing of ASCII is lost.
fn assert_nothing_is_made_up(text: &str, shown: &str) {
    let mut rest = text.chars();
    for c in shown.chars().filter(|c| !['\u{fffd}', '\u{25cc}', ' '].contains(c)) {
        assert!(rest.any(|it| it == c), "{c:?} was not there");
    }
    if !text.contains(char::is_control) {
        let ascii = |text: &str| text.chars().filter(char::is_ascii).collect::<String>();
        assert_eq!(ascii(shown), ascii(text));
    }
}

/// A title, a colour and a device control are gone as a whole, whatever is in them.
fn assert_sequences_vanish(text: &str) {
    let inner: String = text.chars().filter(|c| !c.is_control()).collect();
    for (start, end) in [("\u{1b}]", "\u{7}"), ("\u{9d}", "\u{9c}"), ("\u{1b}P", "\u{1b}\\"), ("\u{1b}_", "\u{9c}")] {
        assert_eq!(printable(&format!("a{start}{inner}{end}b")), "a\u{fffd}b");
    }
    let parameters: String = inner.chars().filter(|c| ('0'..='?').contains(c)).collect();
    for start in ["\u{1b}[", "\u{9b}"] {
        assert_eq!(printable(&format!("a{start}{parameters}mb")), "a\u{fffd}b");
    }
}

/// Written from the standards, by number, and not from the code: the controls of ECMA-48 (C0, DEL, C1), and of
/// Unicode the separators of lines (5.8), the directional controls (UAX 9), the interlinear marks (23.8), the tags
/// (23.9) and the byte-order mark.
fn steers_a_terminal(c: char) -> bool {
    let directional = [0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069];
    let code = u32::from(c);
    code <= 0x1f
        || (0x7f..=0x9f).contains(&code)
        || [0x2028, 0x2029, 0xfeff].contains(&code)
        || directional.contains(&code)
        || code.wrapping_sub(0xfff9) < 3
        || code >> 7 == 0xe_0000 >> 7
}

/// Joiners, fillers and selectors, by number.
fn hides(c: char) -> bool {
    let code = u32::from(c);
    [0xad, 0x34f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x3164, 0xffa0].contains(&code)
        || (0x180b..=0x180f).contains(&code)
        || (0x200b..=0x200d).contains(&code)
        || (0x2060..=0x2065).contains(&code)
        || (0xfe00..=0xfe0f).contains(&code)
        || (0xe_0080..=0xe_0fff).contains(&code)
}

/// The blocks of combining marks, except U+034F, which hides.
fn is_accent(c: char) -> bool {
    let code = u32::from(c);
    [0x300..=0x34e, 0x350..=0x36f, 0x1dc0..=0x1dff, 0x20d0..=0x20f0, 0xfe20..=0xfe2f]
        .iter()
        .any(|it| it.contains(&code))
}

/// A field of a text log stays in its row, and can be read back; so does a row of several.
pub fn log_field(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let escaped = escape_log_field(&text);
    if let Some(bad) = escaped.chars().find(|c| is_replaced(*c) || "\r\n".contains(*c)) {
        panic!("{bad:?} is in a log");
    }
    let kept = |text: &str| text.chars().map(|c| if is_replaced(c) { '\u{fffd}' } else { c }).collect::<String>();
    assert_eq!(unescape_log_field(&escaped), Some(kept(&text)));
    let fields: Vec<&str> = text.split('\0').collect();
    let row = fields.iter().map(|field| escape_log_field(field)).collect::<Vec<_>>().join("; ");
    let fields: Vec<String> = fields.into_iter().map(kept).collect();
    assert_eq!(row.lines().count(), usize::from(!row.is_empty()), "a row is one line");
    assert_eq!(fields_of(&row), fields, "a row splits back into its fields");
    // Whatever is read as a field is what would have been written.
    if let Some(read) = unescape_log_field(&text) {
        assert_eq!(escape_log_field(&read), text);
    }
}

/// What steers a terminal is not in a log, except for tabs; what only hides is.
fn is_replaced(c: char) -> bool {
    let only_hides = ['\u{feff}', '\u{fff9}', '\u{fffa}', '\u{fffb}'].contains(&c) || u32::from(c) >= 0xe_0000;
    steers_a_terminal(c) && !only_hides && !['\t', '\r', '\n'].contains(&c)
}

/// The fields of a row, as a reader of the log who knows nothing of our code would take them apart.
fn fields_of(row: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = row.chars();
    while let Some(c) = characters.next() {
        let next = match c {
            ';' => {
                assert_eq!(characters.next(), Some(' '), "fields are parted by a semicolon and a space");
                fields.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(escaped @ ('\\' | ';')) => escaped,
                other => panic!("a backslash before {other:?}"),
            },
            c => c,
        };
        if let Some(field) = fields.last_mut() {
            field.push(next);
        }
    }
    fields
}

/// A time that somebody types is read or refused; one that is read is written as the same time, and what is written
/// is read back. (A clock shows some times twice: what is written then is the same, though it is another time.)
pub fn time(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(at) = wall::parse(&text) {
        assert_eq!(at.as_millis() % 1_000, 0, "times are typed in whole seconds");
        assert_reads_back(at);
    }
    if let Some(bytes) = data.first_chunk() {
        let at = Timestamp::from_millis(i64::from_le_bytes(*bytes));
        assert_reads_back(at);
        // Years with four digits, which is what people type.
        let at = Timestamp::from_millis(at.as_millis().rem_euclid(250_000_000_000_000) - 50_000_000_000_000);
        assert_reads_back(at);
        assert!(wall::rfc3339(at).ends_with('Z'));
    }
}

fn assert_reads_back(at: Timestamp) {
    let written = wall::written(at);
    let years_of_four_digits = written.split(' ').nth(2).is_some_and(|year| year.len() == 4 && !year.starts_with('-'));
    match wall::parse(&written) {
        Some(read) => assert_eq!(wall::written(read), written),
        None => assert!(!years_of_four_digits, "{written} is not read"),
    }
}
