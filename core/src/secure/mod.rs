//! Who one is, how two ends agree on keys, and what is sealed with them; and passwords.
//!
//! | file | what it has |
//! |---|---|
//! | `identity` | the long-lived keys of servers and devices |
//! | `suite` | the two ciphers |
//! | `noise` | handshakes |
//! | `record` | sealed records of a TCP connection |
//! | `offer` | offers of files, sealed for the device that they go to |
//! | `safety_number` | what two people compare to know that they have each other's keys |
//! | `agreement`, `secret` | what two peers know before their first datagram |
//! | `packet` | sealed datagrams between peers |
//! | `password` | passwords and their hashes |

mod agreement;
mod identity;
mod noise;
mod offer;
mod packet;
mod password;
mod record;
mod safety_number;
mod secret;
mod suite;

pub use agreement::{HandshakeMac, PeerAgreement};
pub use identity::{KEY_BYTES, KeyError, PublicKey, SecretKey};
pub use noise::{Handshake, HandshakeFailed, Keys, Pattern, Setup};
pub use offer::{ListingSize, OfferContents, OfferParties, SealedOffer, open_offer, seal_offer};
pub(crate) use packet::low_bits;
pub use packet::{OpeningKey, PacketKeys, SealingKey};
pub use password::{CheckMemory, HashCost, Password, PasswordHash};
pub use record::{
    MAX_RECORD_BYTES, MAX_RECORD_PAYLOAD, Opener, RECORD_HEADER_BYTES, RecordForged, RecordHeader, Sealer,
};
pub use safety_number::{AccountKeys, SafetyNumber};
pub use secret::{PeerSecret, ResumeHash, ResumeSecret};
pub use suite::{Suite, TAG_BYTES};
