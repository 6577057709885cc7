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
