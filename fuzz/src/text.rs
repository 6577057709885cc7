//! What people and peers write, on its way to a terminal, a log or a file name; and times, as people type them.

use toom_core::text::{FileLabel, escape_log_field, is_unprintable, printable, unescape_log_field};
use toom_core::time::Timestamp;

// A file of its own without the rest of its package, whose SQLite would be most of every build for fuzzing.
#[path = "../../store/src/wall.rs"]
pub mod wall;

/// Whatever a peer calls a file becomes one harmless name.
pub fn file_label(data: &[u8]) {
    let label = FileLabel::new(&String::from_utf8_lossy(data));
    let text = label.as_str();
    assert!(!text.is_empty() && text.len() < 200 && text != "." && text != "..");
    assert!(!text.contains(['/', '\\', '\0']) && !text.contains(is_unprintable));
    assert_eq!(FileLabel::new(text).as_str(), text, "cleaning twice changes nothing");
}

/// What reaches a terminal holds nothing that could steer it, and everything else as it was.
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
    assert!(shown.len() <= 3 * text.len(), "no character becomes longer than U+FFFD");
    assert_eq!(shown.chars().count(), text.chars().count(), "each character becomes one");
    for (before, after) in text.chars().zip(shown.chars()) {
        let replaced = if before == '\t' { ' ' } else { '\u{fffd}' };
        assert!(after == if steers_a_terminal(before) { replaced } else { before }, "{before:?} became {after:?}");
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

/// A field of a text log stays in its row, and can be read back; so does a row of several.
pub fn log_field(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let escaped = escape_log_field(&text);
    assert!(!escaped.contains(['\r', '\n']));
    assert_eq!(unescape_log_field(&escaped).as_deref(), Some(text.as_ref()));
    let fields: Vec<&str> = text.split('\0').collect();
    let row = fields.iter().map(|field| escape_log_field(field)).collect::<Vec<_>>().join("; ");
    assert_eq!(row.lines().count(), usize::from(!row.is_empty()), "a row is one line");
    assert_eq!(fields_of(&row), fields, "a row splits back into its fields");
    // Whatever is read as a field is what would have been written.
    if let Some(read) = unescape_log_field(&text) {
        assert_eq!(escape_log_field(&read), text);
    }
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
