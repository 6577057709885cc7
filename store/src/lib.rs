//! What Toom keeps on disk.
//!
//! | module | what it keeps |
//! |---|---|
//! | [`log`] | the ordered log of facts, and the index of messages derived from it, in SQLite |
//! | [`text_log`] | the assignment's text logs, derived from the same facts |
//! | [`files`] | files being sent and received |
//! | [`wall`] | the wall clock, and times as people write them |
#![forbid(unsafe_code)]

pub mod files;
pub mod log;
pub mod text_log;
pub mod wall;

/// An I/O error as people read it, without the number that the standard library adds.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// `error` with the file that it is about: `PATH WHAT: why`.
pub(crate) fn about(path: &std::path::Path, what: &str, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{} {what}: {}", path.display(), plain(error)))
}
