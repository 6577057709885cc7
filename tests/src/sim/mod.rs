//! A world of virtual time, in which the real machines run on simulated links, disks and clocks.
//!
//! # Theory of operation
//!
//! Everything here that can act later is a node with a deadline: the server, its connections, every client,
//! and every direction of every link ([`link`], [`stream`]), which are machines like those of the core. One
//! [`schedule`] knows all deadlines, ordered by time and then by when they were set. A step takes the first
//! one, moves the clock there at once, wakes that node, and carries out what it says; so an hour of waiting
//! costs nothing, and a run depends on nothing but its options and its one seed ([`dice`]). What crosses a
//! link is recorded in the [`trace`], which is how two runs are compared and how a failure is told.
//!
//! The nodes ([`server`], [`client`], [`raw`]) are drivers: they carry out what the machines of the core say,
//! with the same functions at the edge as the drivers on real sockets (decoding, building, sealing, opening,
//! password hashes), but with files and the log in memory and with delays in the place of work.
//!
//! What can go wrong is a [`fault`]. A process dies between any two effects ([`countdown`]): what was not written is
//! lost, what was not synced may be, and its connections break. [`early`] wakes show whether a machine's deadline
//! tells the truth.

pub mod client;
pub mod countdown;
pub mod dice;
pub mod disk;
pub mod early;
pub mod fault;
pub mod keys;
pub mod link;
pub mod network;
mod network_faults;
pub mod options;
pub mod pending;
mod process_faults;
pub mod raw;
pub mod scene;
pub mod schedule;
pub mod server;
mod state;
pub mod store;
pub mod stream;
pub mod text_log;
pub mod trace;
pub mod world;

pub use options::Options;
pub use scene::SimulatedWorld;
pub use world::Simulation;
