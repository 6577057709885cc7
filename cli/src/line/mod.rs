//! Line mode and `--json` without any I/O: a line becomes a command, an event becomes text or JSON.

pub(crate) mod failure;
pub(crate) mod help;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod parse;
mod past;
