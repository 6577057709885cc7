//! Who everyone is in the simulator: keys that are the same in every run.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use toom_core::link::Identity;
use toom_core::secure::{PublicKey, SecretKey, Suite};

/// The server's, before and after a restart.
pub fn server() -> Arc<Identity> {
    Arc::new(Identity { secret: SecretKey::new([0x5e; 32]), best: Suite::AesGcm })
}

/// The public key of [`server`].
pub fn server_key() -> PublicKey {
    static KEY: OnceLock<PublicKey> = OnceLock::new();
    *KEY.get_or_init(|| server().secret.public())
}

/// The device at an address, whoever uses it. Some like another cipher best than the server.
pub fn device(host: IpAddr) -> Arc<Identity> {
    let number = match host {
        IpAddr::V4(host) => u128::from(host.to_bits()),
        IpAddr::V6(host) => host.to_bits(),
    };
    let mut secret = [0xde; 32];
    secret[..16].copy_from_slice(&number.to_be_bytes());
    let best = if number % 4 == 3 { Suite::ChaChaPoly } else { Suite::AesGcm };
    Arc::new(Identity { secret: SecretKey::new(secret), best })
}

/// The device with a name.
pub fn named(name: &str) -> Arc<Identity> {
    Arc::new(Identity { secret: SecretKey::new(blake3::hash(name.as_bytes()).into()), best: Suite::AesGcm })
}

/// The device of connection `number` without a client.
pub fn stranger(number: u64) -> Arc<Identity> {
    let mut secret = [0x5a; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    Arc::new(Identity { secret: SecretKey::new(secret), best: Suite::AesGcm })
}
