//! The machines of Toom: everything that decides, and nothing that does.
//!
//! This crate owns no socket, file, clock, thread or source of randomness. Drivers (`toom-std`, `toom-smol`,
//! the simulator of `toom-tests`) feed it what has happened and do what it says; [`machine`] has the contract.
//!
//! | module | what it decides |
//! |---|---|
//! | [`wire`] | what bytes mean: frames over TCP, packets over UDP, messages, limits |
//! | [`secure`] | passwords, and the places where records and packets are sealed and opened |
//! | [`link`] | one TCP connection: bytes to typed frames and back |
//! | [`server`] | the conference: login and blocking, presence, rooms, messages, rendezvous |
//! | [`client`] | one user's side of it |
//! | [`peer`] | one UDP connection between two peers |
//! | [`transfer`] | files over peer connections |
//! | [`address`] | socket addresses, whatever kind of socket they came from |
//! | [`text`] | remote text on its way to a terminal, a log or a file name |
#![forbid(unsafe_code)]

pub mod address;
pub mod client;
pub mod config;
pub mod id;
pub mod link;
pub mod machine;
pub mod name;
pub mod peer;
pub mod secure;
pub mod server;
pub mod text;
pub mod time;
pub mod transfer;
pub mod wire;
