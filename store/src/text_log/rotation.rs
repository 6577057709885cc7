//! A message log of bounded length: `messagelog.txt` has the newest rows, `messagelog.txt.1` those before. When the first
//! is long enough it becomes the second, and what that had is gone; the database has it.
//!
//! Rows begin with their numbers, which rise one by one over both files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longer than any number and what follows it.
const MAX_NUMBER_BYTES: u64 = 32;

/// The file with the rows before those in `path`.
pub(super) fn before(path: &Path) -> PathBuf {
    with_end(path, ".1")
}

/// Appends rows, which are whole. A file that would become longer than `max_bytes` is put aside first.
pub(super) fn append(path: &Path, rows: &str, max_bytes: u64) -> io::Result<()> {
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let mut file = open()?;
    let length = file.metadata()?.len();
    if length > 0 && length.saturating_add(rows.len() as u64) > max_bytes {
        fs::rename(path, before(path))?;
        file = open()?;
    }
    file.write_all(rows.as_bytes())
}

/// Takes the rows with numbers up to `through` out.
pub(super) fn forget(path: &Path, through: u64) -> io::Result<()> {
    let aside = before(path);
    if forget_in(&aside, through)? {
        // An empty one would say that there was more.
        fs::remove_file(&aside)?;
    }
    forget_in(path, through).map(|_| ())
}

/// Whether the files at `path` have a row for each message of `range`, of which the oldest may be gone where there was
/// more than fits.
pub(super) fn has(path: &Path, range: Option<RangeInclusive<u64>>) -> bool {
    let (Ok(old), Ok(new)) = (Rows::of(&before(path)), Rows::of(path)) else { return false };
    let Some(new) = new else { return false };
    let Some(range) = range else { return old.is_none() && new.count == 0 };
    let was_rotated = old.is_some();
    let count = new.count + old.as_ref().map_or(0, |old| old.count);
    let Some(first) = old.and_then(|old| old.first).or(new.first) else { return false };
    let begins = first == *range.start() || was_rotated && range.contains(&first);
    begins && first.checked_add(count).is_some_and(|end| end == range.end().saturating_add(1))
}

/// A message log that is written anew, and takes the place of the old one when it is whole.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    max_bytes: u64,
    out: BufWriter<File>,
    length: u64,
    /// Whether there are rows before those in `out`.
    rotated: bool,
}

impl Rotating {
    /// An empty one.
    pub(super) fn new(path: &Path, max_bytes: u64) -> io::Result<Rotating> {
        let out = create(&new_name(path))?;
        Ok(Rotating { path: path.to_owned(), max_bytes, out, length: 0, rotated: false })
    }

    /// Adds a row.
    pub(super) fn write(&mut self, row: &str) -> io::Result<()> {
        let bytes = row.len() as u64;
        if self.length > 0 && self.length + bytes > self.max_bytes {
            self.out.flush()?;
            fs::rename(new_name(&self.path), new_name(&before(&self.path)))?;
            self.out = create(&new_name(&self.path))?;
            (self.length, self.rotated) = (0, true);
        }
        self.length += bytes;
        self.out.write_all(row.as_bytes())
    }

    /// Takes the place of what was there.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        let aside = before(&self.path);
        if self.rotated {
            fs::rename(new_name(&aside), &aside)?;
        } else if let Err(error) = fs::remove_file(&aside)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        fs::rename(new_name(&self.path), &self.path)
    }
}

/// What is in one file.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    /// The number of the first row.
    first: Option<u64>,
    count: u64,
}

impl Rows {
    /// None if there is no file; an error if its last row was torn.
    fn of(path: &Path) -> io::Result<Option<Rows>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut reader = BufReader::new(file);
        let first = number(&mut reader)?;
        reader.seek(SeekFrom::Start(0))?;
        let (mut count, mut last) = (0, b'\n');
        loop {
            let buffer = reader.fill_buf()?;
            let Some(newest) = buffer.last() else { break };
            last = *newest;
            count += buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
            let length = buffer.len();
            reader.consume(length);
        }
        if last == b'\n' { Ok(Some(Rows { first, count })) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// The number with which a row begins; at the end of the file, and of what is no row, there is none.
fn number(reader: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut start = Vec::new();
    reader.take(MAX_NUMBER_BYTES).read_until(b';', &mut start)?;
    let digits = start.strip_suffix(b";").and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(digits.and_then(|digits| digits.parse().ok()))
}

/// Takes rows out of one file; whether it was there and nothing is left.
fn forget_in(path: &Path, through: u64) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let mut reader = BufReader::new(file);
    let (mut kept_from, mut row) = (0, Vec::new());
    while reader.read_until(b'\n', &mut row)? > 0 {
        if number(&mut row.as_slice())?.is_none_or(|number| number > through) {
            break;
        }
        kept_from += row.len() as u64;
        row.clear();
    }
    let is_empty = reader.seek(SeekFrom::End(0))? == kept_from;
    if kept_from > 0 {
        reader.seek(SeekFrom::Start(kept_from))?;
        let mut out = create(&new_name(path))?;
        io::copy(&mut reader, &mut out)?;
        out.flush()?;
        fs::rename(new_name(path), path)?;
    }
    Ok(is_empty)
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map(BufWriter::new)
}

/// Hidden, so that nobody takes it for a log.
fn new_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows whose numbers are theirs, and of their own lengths.
    fn row(number: u64) -> String {
        format!("{number}; 1 Jun 2022 21:39:04; yoda; {}\n", "x".repeat((number % 13) as usize))
    }

    fn text(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    /// What both files say.
    fn texts(path: &Path) -> String {
        text(&before(path)).unwrap_or_default() + &text(path).unwrap_or_default()
    }

    fn rows(range: RangeInclusive<u64>) -> String {
        range.map(row).collect()
    }

    #[derive(Clone, Debug)]
    enum Operation {
        Append(u64),
        Forget(u64),
        WriteAnew,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            4 => (1u64..6).prop_map(Operation::Append),
            1 => (0u64..100).prop_map(Operation::Forget),
            1 => Just(Operation::WriteAnew),
        ]
    }

    proptest! {
        /// The model has the number of the first message in the database and of the newest one.
        #[test]
        fn the_files_have_the_newest_rows_and_say_so(
            operations in prop::collection::vec(operation(), 1..40),
            max_bytes in 60u64..400,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("messagelog.txt");
            append(&path, "", max_bytes).unwrap();
            let (mut first, mut newest) = (1, 0);
            for operation in operations {
                match operation {
                    Operation::Append(count) => {
                        append(&path, &rows(newest + 1..=newest + count), max_bytes).unwrap();
                        newest += count;
                    }
                    Operation::Forget(percent) => {
                        let through = (first - 1) + (newest + 1 - first) * percent / 100;
                        forget(&path, through).unwrap();
                        first = through + 1;
                    }
                    Operation::WriteAnew => {
                        let mut out = Rotating::new(&path, max_bytes).unwrap();
                        (first..=newest).for_each(|number| out.write(&row(number)).unwrap());
                        out.finish().unwrap();
                    }
                }
                let all = rows(first..=newest);
                let there = texts(&path);
                prop_assert!(all.ends_with(&there), "{there:?} is no end of {all:?}");
                let longest = max_bytes.max(rows(newest.saturating_sub(5)..=newest).len() as u64);
                prop_assert!(there.len() as u64 <= 2 * longest);
                prop_assert!(there == all || before(&path).exists(), "rows are gone that fit");
                let range = (first <= newest).then_some(first..=newest);
                prop_assert!(has(&path, range));
                prop_assert!(!has(&path, Some(first..=newest + 1)));
                if first < newest {
                    prop_assert!(!has(&path, Some(first..=newest - 1)) && !has(&path, None));
                }
                if there == all && first < newest {
                    prop_assert!(!has(&path, Some(first + 1..=newest)), "a row is left that was forgotten");
                }
            }
            let files = fs::read_dir(directory.path()).unwrap().count();
            prop_assert!(files <= 2, "something is left over");
        }
    }

    #[test]
    fn a_file_that_is_missing_torn_or_not_followed_by_the_next_is_not_enough() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("messagelog.txt");
        for (old, new, is_enough) in [
            (None, None, false),
            (None, Some(rows(1..=9)), true),
            (None, Some(rows(2..=9)), false),
            (Some(rows(1..=4)), Some(rows(5..=9)), true),
            (Some(rows(3..=4)), Some(rows(5..=9)), true),
            (Some(rows(0..=4)), Some(rows(5..=9)), false),
            (Some(rows(3..=4)), Some(rows(6..=9)), false),
            (Some(rows(3..=4)), None, false),
            (Some(rows(3..=4)), Some(rows(5..=9).trim_end().to_owned()), false),
            (None, Some("nothing\n".repeat(9)), false),
        ] {
            for (path, text) in [(&before(&path), &old), (&path, &new)] {
                let _ = fs::remove_file(path);
                text.iter().for_each(|text| fs::write(path, text).unwrap());
            }
            assert_eq!(has(&path, Some(1..=9)), is_enough, "{old:?} {new:?}");
        }
    }
}
