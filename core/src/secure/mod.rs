//! Passwords, and the places at the edge where TCP records and UDP packets are sealed and opened.

mod packet;
mod password;
mod record;
mod secret;

pub use packet::{OpeningKey, SealingKey, TAG_BYTES};
pub use password::{HashCost, Password, PasswordHash};
pub use record::{Opener, Sealer};
pub use secret::PeerSecret;
