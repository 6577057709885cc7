//! Passwords and their hashes: argon2id, as OWASP's password storage page recommends (19 MiB, two passes).

use core::fmt;

use argon2::password_hash::phc::{Output, PasswordHash as Phc};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher, Version};
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

/// The memory of a thread that checks passwords, kept from one check to the next: 19 MiB that are taken and given back
/// for each would make a process grow with the number of logins, since allocators keep some of it.
#[derive(Default)]
pub struct CheckMemory(Vec<Block>);

impl fmt::Debug for CheckMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckMemory(..)")
    }
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
        self.matches_in(password, &mut CheckMemory::default())
    }

    /// The same, in memory that is used again.
    pub fn matches_in(&self, password: &Password, memory: &mut CheckMemory) -> bool {
        let Ok(Phc { algorithm, version, params, salt: Some(salt), hash: Some(hash) }) = Phc::new(&self.0) else {
            return false;
        };
        let algorithm = Algorithm::try_from(algorithm.as_str());
        let version = version.map_or(Ok(Version::default()), Version::try_from);
        let (Ok(algorithm), Ok(version), Ok(params)) = (algorithm, version, Params::try_from(&params)) else {
            return false;
        };
        let blocks = params.block_count();
        if memory.0.len() < blocks {
            memory.0.resize(blocks, Block::default());
        }
        let mut computed = [0; Output::MAX_LENGTH];
        let Some(computed) = computed.get_mut(..hash.len()) else { return false };
        let argon2 = Argon2::new(algorithm, version, params);
        let hashed =
            argon2.hash_password_into_with_memory(password.0.as_bytes(), &salt, computed, &mut memory.0[..blocks]);
        // `Output` compares in constant time.
        hashed.is_ok() && Output::new(computed).is_ok_and(|computed| computed == hash)
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
    fn memory_that_was_used_before_changes_no_answer() {
        let mut memory = CheckMemory::default();
        let (right, wrong) = (Password("jedi*knight".into()), Password("sith".into()));
        for cost in [HashCost::Standard, HashCost::Trivial, HashCost::Standard] {
            let hash = PasswordHash::new(&right, [7; 16], cost);
            for _ in 0..2 {
                assert!(!hash.matches_in(&wrong, &mut memory));
                assert!(hash.matches_in(&right, &mut memory));
            }
        }
        assert!(!PasswordHash(String::new()).matches_in(&right, &mut memory));
        assert!(!PasswordHash("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ".into()).matches_in(&right, &mut memory));
    }

    #[test]
    fn debug_shows_no_secret() {
        let password = Password("geheim".into());
        assert!(!format!("{password:?}").contains("geheim"));
    }
}
