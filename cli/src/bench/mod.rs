//! `toom bench`: what this machine can do.

pub(crate) mod end;
mod figures;
mod lane;
mod link;
mod process;
pub(crate) mod transfer;
mod usage;
