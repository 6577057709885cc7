//! Who one is, how two ends agree on keys, and what is sealed with them; and passwords.
//!
//! | file | what it has |
//! |---|---|
//! | `identity` | the long-lived keys of servers and devices |
//! | `suite` | the two ciphers |
//! | `noise` | handshakes |
//! | `record` | sealed records of a TCP connection |
//! | `agreement`, `secret` | what two peers know before their first datagram |
//! | `packet` | sealed datagrams between peers |
//! | `password` | passwords and their hashes |

mod agreement;
mod identity;
mod noise;
mod packet;
mod password;
mod record;
mod secret;
mod suite;

pub use agreement::{HandshakeMac, PeerAgreement};
pub use identity::{KEY_BYTES, KeyError, PublicKey, SecretKey};
pub use noise::{Handshake, HandshakeFailed, Keys, Pattern, Setup};
pub(crate) use packet::low_bits;
pub use packet::{OpeningKey, PacketKeys, SealingKey};
pub use password::{HashCost, Password, PasswordHash};
pub use record::{
    MAX_RECORD_BYTES, MAX_RECORD_PAYLOAD, Opener, RECORD_HEADER_BYTES, RecordForged, RecordHeader, Sealer,
};
pub use secret::PeerSecret;
pub use suite::{Suite, TAG_BYTES};
