//! Randomness from the operating system: seeds, salts and secrets.

use ring::rand::{SecureRandom, SystemRandom};

use crate::exit::Failure;

/// `N` bytes that nobody can guess.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Failure::failed("The operating system gives no random numbers.")),
    }
}
