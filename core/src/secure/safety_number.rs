//! What two people compare, in person or by telephone, to know that each has the other's keys and nobody else's.

use core::fmt;

use ring::digest;

use super::PublicKey;
use crate::name::UserName;

/// Groups of digits.
const GROUPS: usize = 12;
/// Bytes of the hash in each group, modulo 100,000: three digits' worth more than the group shows, so that no digit is
/// likelier than another by more than one in ten million.
const GROUP_BYTES: usize = 5;

/// A person and the keys of all their devices.
#[derive(Clone, Copy, Debug)]
pub struct AccountKeys<'a> {
    /// Who.
    pub name: &'a UserName,
    /// Sorted, each once.
    pub keys: &'a [PublicKey],
}

/// 60 decimal digits, the same at both ends if both see the same keys of both: some 199 bits of a SHA-512.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyNumber([u32; GROUPS]);

impl SafetyNumber {
    /// That of two people, whoever is named first.
    pub fn of(one: AccountKeys<'_>, other: AccountKeys<'_>) -> SafetyNumber {
        let (first, second) = if one.name <= other.name { (one, other) } else { (other, one) };
        let mut hash = digest::Context::new(&digest::SHA512);
        hash.update(b"toom safety number 1");
        for AccountKeys { name, keys } in [first, second] {
            hash.update(&(name.as_str().len() as u64).to_be_bytes());
            hash.update(name.as_str().as_bytes());
            hash.update(&(keys.len() as u64).to_be_bytes());
            keys.iter().for_each(|key| hash.update(&key.0));
        }
        let hash = hash.finish();
        let mut groups = [0; GROUPS];
        for (group, bytes) in groups.iter_mut().zip(hash.as_ref().chunks_exact(GROUP_BYTES)) {
            let value = bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            *group = (value % 100_000) as u32;
        }
        SafetyNumber(groups)
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, group) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { " " };
            write!(f, "{separator}{group:05}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey([byte; 32])
    }

    fn number(one: (&str, &[PublicKey]), other: (&str, &[PublicKey])) -> SafetyNumber {
        let (a, b) = (UserName::new(one.0).unwrap(), UserName::new(other.0).unwrap());
        SafetyNumber::of(AccountKeys { name: &a, keys: one.1 }, AccountKeys { name: &b, keys: other.1 })
    }

    #[test]
    fn it_has_sixty_digits_and_is_the_same_at_both_ends() {
        let (luke, yoda) = (("luke", &[key(1), key(2)][..]), ("yoda", &[key(3)][..]));
        let shown = number(luke, yoda).to_string();
        assert_eq!(shown.len(), 71);
        assert!(shown.split(' ').all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit())));
        assert_eq!(number(yoda, luke).to_string(), shown);
        // As another implementation of SHA-512 has it (Python's hashlib), so that no two versions differ.
        assert_eq!(shown, KNOWN);
    }

    const KNOWN: &str = "60306 36513 62478 08356 73816 33444 35697 42512 39542 26986 23579 86395";

    #[test]
    fn it_is_of_every_key_and_name() {
        let number_of = |luke: &str, a: &[u8], yoda: &str, b: &[u8]| {
            let keys = |bytes: &[u8]| bytes.iter().map(|byte| key(*byte)).collect::<Vec<_>>();
            number((luke, &keys(a)), (yoda, &keys(b)))
        };
        let all = [
            number_of("luke", &[1, 2], "yoda", &[3]),
            number_of("luke", &[1], "yoda", &[3]),
            number_of("luke", &[1, 2], "yoda", &[4]),
            number_of("luke", &[1, 2, 3], "yoda", &[]),
            number_of("luke", &[1], "yoda", &[2, 3]),
            number_of("luka", &[1, 2], "yoda", &[3]),
            number_of("luke", &[1, 2], "yodb", &[3]),
            number_of("luke", &[3], "yoda", &[1, 2]),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(all[place + 1..].iter().all(|other| other != one), "{place}");
        }
    }
}
