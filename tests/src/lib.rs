//! Proof that Toom does what it should: a simulator, which is a third driver of the machines, and scenarios
//! that every driver must pass.
//!
//! | module | what it has |
//! |---|---|
//! | [`scenario`] | the scenarios, written once against the trait [`scenario::World`] |
//! | [`sim`] | a world of virtual time: one seed gives one run |
//! | [`invariants`] | what must hold in every run of the simulator, and the checkers that watch for it |
//! | [`simulate`] | whole runs of random people in random worlds, each from one seed; shrinking of what breaks |
//! | [`login_timing`], [`statistics`] | whether the time of a login tells who has an account |
//! | [`chaos`] | servers and clients that are killed, and whether anything that was confirmed is lost |
//! | [`durability`] | how many messages a second are confirmed, beside what the disk can do |
//! | [`hostile`] | attacks on a real server process, and whether they disturb anybody |
//! | [`real`] | a world of real sockets, files and threads, on either runtime or on both |
#![forbid(unsafe_code)]

pub mod chaos;
pub mod durability;
pub mod hostile;
pub mod invariants;
pub mod login_timing;
mod process;
pub mod real;
pub mod scenario;
pub mod sim;
pub mod simulate;
pub mod statistics;
