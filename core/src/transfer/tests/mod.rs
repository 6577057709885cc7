//! Two machines and a bad link between them, in virtual time, sealing included.

mod congestion;
mod ecn;
mod end;
mod folders;
mod link;
mod path_mtu;
mod resuming;
mod scenarios;
mod stalling;
mod stream;
mod streaming;
mod tree;
mod world;
