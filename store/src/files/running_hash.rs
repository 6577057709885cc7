//! The BLAKE3 hash of bytes that come in pieces of any length.
//!
//! BLAKE3 hashes sixteen chunks of a kilobyte side by side, if they are at hand at once and begin where a group of
//! sixteen does. Bursts of packets neither begin nor end there, and without more ado would cost up to a third more. So
//! what does not fill a group waits for the rest of it.

/// Sixteen chunks.
const GROUP: usize = 16 * 1024;

/// A hash that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct RunningHash {
    hasher: Box<blake3::Hasher>,
    /// Less than a group, which the hasher has not seen.
    waiting: Vec<u8>,
}

impl From<Box<blake3::Hasher>> for RunningHash {
    fn from(hasher: Box<blake3::Hasher>) -> RunningHash {
        RunningHash { hasher, waiting: Vec::new() }
    }
}

impl RunningHash {
    /// Adds `bytes`.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(self.missing().min(bytes.len()));
        if self.missing() == GROUP {
            return self.update_groups(bytes);
        }
        self.waiting.extend_from_slice(first);
        if self.missing() == GROUP {
            self.flush();
            self.update_groups(rest);
        }
    }

    /// The hash of all that was added; more may be added afterwards.
    pub(super) fn finalize(&mut self) -> [u8; 32] {
        self.flush();
        self.hasher.finalize().into()
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        self.hasher.reset();
        self.waiting.clear();
    }

    /// How many bytes complete the group at hand.
    fn missing(&self) -> usize {
        let before = (self.hasher.count() % GROUP as u64) as usize;
        GROUP - (before + self.waiting.len()) % GROUP
    }

    /// Adds what begins with a group.
    fn update_groups(&mut self, bytes: &[u8]) {
        let (groups, rest) = bytes.split_at(bytes.len() - bytes.len() % GROUP);
        self.hasher.update(groups);
        self.waiting.extend_from_slice(rest);
    }

    fn flush(&mut self) {
        self.hasher.update(&self.waiting);
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Add(usize),
        Ask,
        Begin,
    }

    fn step() -> impl Strategy<Value = Step> {
        let length = prop_oneof![0..2_000_usize, 0..4 * GROUP, Just(GROUP)];
        prop_oneof![8 => length.prop_map(Step::Add), 2 => Just(Step::Ask), 1 => Just(Step::Begin)]
    }

    proptest! {
        #[test]
        fn it_is_the_hash_of_all_that_was_added(
            before in 0..3 * GROUP,
            steps in proptest::collection::vec(step(), 0..12),
        ) {
            let bytes: Vec<u8> = (0..64 * GROUP).map(|n| (n % 251) as u8).collect();
            let mut hasher = Box::new(blake3::Hasher::new());
            hasher.update(&bytes[..before]);
            let (mut running, mut at) = (RunningHash::from(hasher), before);
            for step in steps {
                match step {
                    Step::Add(length) => {
                        running.update(&bytes[at..at + length]);
                        at += length;
                    }
                    Step::Ask => prop_assert_eq!(running.finalize(), *blake3::hash(&bytes[..at]).as_bytes()),
                    Step::Begin => {
                        running.reset();
                        at = 0;
                    }
                }
                prop_assert!(running.waiting.len() < GROUP);
            }
            prop_assert_eq!(running.finalize(), *blake3::hash(&bytes[..at]).as_bytes());
        }
    }

    #[test]
    fn whole_groups_do_not_wait() {
        let mut running = RunningHash::default();
        running.update(&[1; 3 * GROUP + 5]);
        assert_eq!((running.hasher.count(), running.waiting.len()), (3 * GROUP as u64, 5));
        running.update(&[1; GROUP]);
        assert_eq!((running.hasher.count(), running.waiting.len()), (4 * GROUP as u64, 5));
    }
}
