//! Passwords and their hashes: argon2id, as OWASP's password storage page recommends (19 MiB, two passes).

use core::fmt;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password on its way to being checked. Not shown by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password's hash in PHC string format, which names its own algorithm, cost and salt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// How much work one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashCost {
    /// 19 MiB, two passes.
    Standard,
    /// The least that argon2 allows, for tests that are about something else. Passwords hashed so are not
    /// protected.
    Trivial,
}

impl HashCost {
    fn argon2(self) -> Argon2<'static> {
        let params = match self {
            HashCost::Standard => Params::new(19 * 1024, 2, 1, None),
            HashCost::Trivial => Params::new(Params::MIN_M_COST, 1, 1, None),
        };
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.unwrap_or_default())
    }
}

impl PasswordHash {
    /// Hashes `password` with `salt`, which must be random and used for nothing else. Takes 19 MiB and about
    /// 20 ms at [`HashCost::Standard`].
    pub fn new(password: &Password, salt: [u8; 16], cost: HashCost) -> PasswordHash {
        let hash = cost.argon2().hash_password_with_salt(password.0.as_bytes(), &salt);
        // Fails only for salts or parameters of a wrong size; ours are constants. An empty hash matches nothing.
        PasswordHash(hash.map(|hash| hash.to_string()).unwrap_or_default())
    }

    /// The hash of a password that nobody knows: what names without an account are checked against, so that they
    /// cost the same. `secret` and `salt` must be random, and used for nothing else.
    pub fn decoy(secret: [u8; 32], salt: [u8; 16]) -> PasswordHash {
        let password = Password(secret.map(|byte| format!("{byte:02x}")).concat());
        PasswordHash::new(&password, salt, HashCost::Standard)
    }

    /// Whether `password` is the one. Costs what the hash says, whatever the answer.
    pub fn matches(&self, password: &Password) -> bool {
        Phc::new(&self.0).is_ok_and(|hash| Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_matches() {
        let right = Password("jedi*knight".into());
        for cost in [HashCost::Trivial, HashCost::Standard] {
            let hash = PasswordHash::new(&right, [7; 16], cost);
            assert!(hash.0.starts_with("$argon2id$v=19$"), "{}", hash.0);
            assert!(hash.matches(&right));
            assert!(!hash.matches(&Password("jedi".into())));
            assert!(!hash.matches(&Password(String::new())));
        }
        assert!(PasswordHash::new(&right, [7; 16], HashCost::Standard).0.contains("m=19456,t=2,p=1"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let password = Password("geheim".into());
        assert!(!format!("{password:?}").contains("geheim"));
    }
}
