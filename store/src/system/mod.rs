//! What both drivers ask of the operating system, beside files.
//!
//! | module | what |
//! |---|---|
//! | [`SystemCalls`] | how many system calls were made |
//! | [`tcp`] | how our connections are made |
//! | [`udp`] | many datagrams with each system call |
//!
//! Nothing here waits, except [`tcp::connect`]: waiting is what the drivers differ in.

mod calls;
pub mod tcp;
pub mod udp;

pub use calls::SystemCalls;

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::rand::{GetRandomFlags, getrandom};
use toom_core::secure::Suite;

/// A seed from the operating system.
pub fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    let mut filled = 0;
    while filled < seed.len() {
        filled += getrandom(&mut seed[filled..], GetRandomFlags::empty())?;
    }
    Ok(seed)
}

/// The cipher that is faster on this processor: AES where it has instructions for it.
pub fn faster_suite() -> Suite {
    #[cfg(target_arch = "x86_64")]
    let has_aes = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has_aes = std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has_aes = false;
    if has_aes { Suite::AesGcm } else { Suite::ChaChaPoly }
}

/// An error of the operating system as people read it within a sentence, without its number.
pub fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// Lets this process have as many files and sockets as the system allows it: often far more than it may have at
/// first, and every connection needs one.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Without it there is room for fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_words() {
        assert_eq!(in_words(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(in_words(&io::Error::other("a file of Yoda's is gone")), "a file of Yoda's is gone");
    }

    #[test]
    fn no_two_seeds_are_the_same() {
        assert_ne!(random_seed().expect("random"), random_seed().expect("random"));
    }

    #[test]
    fn afterwards_the_file_limit_is_the_highest_allowed() {
        raise_file_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
