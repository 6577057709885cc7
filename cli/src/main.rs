//! The binary `toom`.

#[allow(dead_code)]
mod line;

fn main() {}
