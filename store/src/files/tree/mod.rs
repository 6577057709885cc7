//! Files and folders that are sent as one transfer.
//!
//! # Theory of operation
//!
//! What is sent is one run of bytes, the flow: a listing, then the contents of its files in its order, without anything
//! between. [`TreeSource`] looks through what is to be sent before it is offered, and opens each file when its turn
//! comes; [`TreeSink`] writes each to a partial file of its own, in a private folder beside the final place.
//!
//! Between the listing and the contents both ends agree what need not be sent. The sink looks for files that are at
//! their final place already, and for what an earlier transfer left (`survey`), and says how much of each there is,
//! with a hash. The source hashes as much of its own files (`compare`). What is the same is left out of the flow, so
//! that both know what each offset of it is (`layout`). A file or a folder that was sent before costs only its hashing.
//!
//! Both hash the flow as it goes by (`root`): the listing, and the hash of each file, those left out included. Nothing
//! gets its final name before these are the same at both ends. A wrong claim about what is there, a file that changes
//! while it is read, or a partial file that is not what it was, can therefore cost a transfer, and never a file.
//!
//! At the end everything is put on the disk with one call, and then gets its names (`publish`), in folders that are
//! found or made (`places`); nothing is replaced. No path is used where others may write: only handles of folders and
//! names in them, and never through a link.
//!
//! What is kept in memory is a few hundred bytes for each entry, and few files are open at once (`recent`).

mod contents;
mod layout;
mod part_folder;
mod places;
mod publish;
mod received;
mod recent;
mod root;
mod scan;
mod sink;
mod source;
mod stat;
mod survey;
#[cfg(test)]
mod tests;

pub use sink::TreeSink;
pub use source::{Opened, TreeSource};
