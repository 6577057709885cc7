//! Randomness that comes from the one seed of a run.

use core::ops::RangeInclusive;
use core::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random choices. Each node has its own, so that what one of them draws does not change what
/// another one gets.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha12Rng);

impl Dice {
    /// The dice of the node called `owner` in the run with `seed`.
    pub fn new(seed: u64, owner: &str) -> Dice {
        Dice(ChaCha12Rng::from_seed(derive(seed, owner)))
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        // Both sides are exact in an f64, so every machine decides alike.
        probability > 0.0 && f64::from(self.0.next_u32()) < probability * f64::from(u32::MAX)
    }

    /// A number of `range`.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let span = range.end() - range.start();
        match span.checked_add(1) {
            Some(count) => range.start() + self.0.next_u64() % count,
            None => self.0.next_u64(),
        }
    }

    /// A time from zero to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.within(0..=u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Changes one bit, if there is any; whether there was.
    pub fn flip_bit(&mut self, bytes: &mut [u8]) -> bool {
        let Some(last) = (bytes.len() as u64 * 8).checked_sub(1) else { return false };
        let bit = self.within(0..=last);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        true
    }

    /// Bytes for a machine's seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// Dice of their own for a part of the owner.
    pub fn fork(&mut self) -> Dice {
        Dice(ChaCha12Rng::from_seed(self.seed()))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

fn derive(seed: u64, owner: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes());
    hasher.update(owner.as_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_what_they_say() {
        let mut dice = Dice::new(1, "test");
        assert!((0..1000).all(|_| !dice.chance(0.0) && dice.chance(1.1)));
        let hits = (0..10_000).filter(|_| dice.chance(0.2)).count();
        assert!((1_800..2_200).contains(&hits), "{hits} of 10,000 at 20 %");
    }

    #[test]
    fn a_flip_changes_exactly_one_bit_and_any_of_them() {
        let mut dice = Dice::new(1, "test");
        let mut hit = [0; 2];
        for _ in 0..200 {
            let mut bytes = [0; 2];
            assert!(dice.flip_bit(&mut bytes));
            assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
            hit[0] |= bytes[0];
            hit[1] |= bytes[1];
        }
        assert_eq!((hit, dice.flip_bit(&mut [])), ([0xff; 2], false));
    }

    #[test]
    fn owners_have_their_own_dice_and_a_seed_repeats_them() {
        let draw = |seed, owner| Dice::new(seed, owner).seed();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }
}
