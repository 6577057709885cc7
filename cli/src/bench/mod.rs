//! `toom bench`: what this machine can do.

pub(crate) mod end;
pub(crate) mod transfer;
mod usage;
