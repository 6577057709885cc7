//! The long-lived keys of servers and devices.

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE32_NOPAD_NOCASE;
use serde::{Deserialize, Serialize};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a key, secret or public (RFC 7748, X25519).
pub const KEY_BYTES: usize = 32;

/// By which a server or a device is known: an X25519 public key.
///
/// Shown as 52 letters and digits (base 32, RFC 4648), which has no characters that look alike. That is the whole
/// key, so that it is its own fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

/// Why a text is not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 52 letters and digits")]
pub struct KeyError;

/// The secret that makes a server or a device what it is. Not shown by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; KEY_BYTES]);

impl PublicKey {
    /// Whether nobody has it for themselves: of a key of low order everybody knows what a key agreement with it
    /// comes to, which is zero (RFC 7748, section 6.1). Costs one multiplication on the curve.
    pub fn is_of_low_order(&self) -> bool {
        let mut shared = [0; KEY_BYTES];
        // Any scalar shows it: all are multiples of the curve's cofactor.
        let agreed = DefaultResolver.resolve_dh(&DHChoice::Curve25519).is_some_and(|mut curve| {
            curve.set(&[1; KEY_BYTES]);
            curve.dh(&self.0, &mut shared).is_ok()
        });
        !agreed || shared == [0; KEY_BYTES]
    }
}

impl SecretKey {
    /// The key with these bytes, which must be random, and used for nothing else.
    pub fn new(bytes: [u8; KEY_BYTES]) -> SecretKey {
        SecretKey(bytes)
    }

    /// The bytes, for the key's file and for handshakes.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What others know of it. Costs one multiplication on the curve (some 20 microseconds).
    pub fn public(&self) -> PublicKey {
        let mut public = [0; KEY_BYTES];
        if let Some(mut curve) = DefaultResolver.resolve_dh(&DHChoice::Curve25519) {
            curve.set(&self.0);
            public.copy_from_slice(curve.pubkey());
        }
        PublicKey(public)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD_NOCASE.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let bytes = BASE32_NOPAD_NOCASE.decode(text.as_bytes()).map_err(|_| KeyError)?;
        Ok(PublicKey(bytes.try_into().map_err(|_| KeyError)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_public_key_is_that_of_the_standard() {
        // RFC 7748, section 5.2: the function once, of 9 and the base point, which is 9.
        let mut nine = [0; 32];
        nine[0] = 9;
        let public = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
        assert_eq!(data_encoding::HEXLOWER.encode(&SecretKey::new(nine).public().0), public);
    }

    proptest! {
        #[test]
        fn a_key_comes_back_from_its_text(bytes: [u8; 32]) {
            let key = PublicKey(bytes);
            let text = key.to_string();
            prop_assert_eq!(text.len(), 52);
            prop_assert_eq!(text.parse(), Ok(key));
            prop_assert_eq!(text.to_uppercase().parse(), Ok(key));
            prop_assert_eq!(text[1..].parse::<PublicKey>(), Err(KeyError));
        }
    }

    #[test]
    fn keys_that_everybody_knows_are_told_from_others() {
        let hex = |text: &str| PublicKey(data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap());
        for low in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            assert!(hex(low).is_of_low_order(), "{low}");
        }
        for byte in 0..20 {
            assert!(!SecretKey::new([byte; 32]).public().is_of_low_order());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", SecretKey::new([7; 32])), "SecretKey(..)");
    }
}
