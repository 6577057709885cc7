//! A part of a stream that is kept in memory: it moves on, and never grows.

/// The bytes of a stream from some offset on, at most as many as it has room for.
#[derive(Debug)]
pub(super) struct Ring {
    /// The byte at an offset has its place at the remainder.
    bytes: Vec<u8>,
    /// What is before is gone.
    base: u64,
}

impl Ring {
    /// From the beginning, with room for `capacity` bytes, which is not 0.
    pub(super) fn new(capacity: usize) -> Ring {
        // The system gives pages of zeros when they are used.
        Ring { bytes: vec![0; capacity], base: 0 }
    }

    /// The first offset that is kept.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The first offset for which there is no room.
    pub(super) fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes.len() as u64)
    }

    /// Puts bytes at their place; whether it has that.
    #[must_use]
    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let Some((first, rest)) = self.places(offset, bytes.len()) else { return false };
        let (left, right) = bytes.split_at(first.len());
        self.bytes[first].copy_from_slice(left);
        self.bytes[rest].copy_from_slice(right);
        true
    }

    /// Gets bytes from their place; whether it has that. What was never put there is no particular byte.
    #[must_use]
    pub(super) fn get(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let Some((first, rest)) = self.places(offset, bytes.len()) else { return false };
        let (left, right) = bytes.split_at_mut(first.len());
        left.copy_from_slice(&self.bytes[first]);
        right.copy_from_slice(&self.bytes[rest]);
        true
    }

    /// Lets go of what is before `offset`.
    pub(super) fn release(&mut self, offset: u64) {
        self.base = self.base.max(offset.min(self.end()));
    }

    /// Where a range is: a part up to the end of the memory, and the rest from its beginning on.
    fn places(&self, offset: u64, length: usize) -> Option<(core::ops::Range<usize>, core::ops::Range<usize>)> {
        let end = offset.checked_add(length as u64)?;
        if offset < self.base || end > self.end() {
            return None;
        }
        let capacity = self.bytes.len();
        let start = usize::try_from(offset % capacity as u64).ok()?;
        let first = length.min(capacity - start);
        Some((start..start + first, 0..length - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Put { at: u64, length: usize },
        Release { by: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0u64..24, 0usize..24).prop_map(|(at, length)| Op::Put { at, length }),
            1 => (0u64..20).prop_map(|by| Op::Release { by }),
        ]
    }

    proptest! {
        /// The model is the whole stream: what was put is found until it is released, and nothing is taken beyond.
        #[test]
        fn it_is_a_window_on_a_stream(ops in proptest::collection::vec(op(), 0..60), capacity in 1usize..20) {
            let (mut ring, mut model, mut base) = (Ring::new(capacity), [0u8; 2_000], 0u64);
            for (number, op) in (1..).zip(ops) {
                match op {
                    Op::Put { at, length } => {
                        let (start, fits) = (base as usize + at as usize, at as usize + length <= capacity);
                        let bytes: Vec<u8> = (0..length).map(|n| (n as u8).wrapping_mul(7).wrapping_add(number)).collect();
                        prop_assert_eq!(ring.put(start as u64, &bytes), fits);
                        if fits {
                            model[start..start + length].copy_from_slice(&bytes);
                        }
                    }
                    Op::Release { by } => {
                        ring.release(base + by);
                        base += by.min(capacity as u64);
                    }
                }
                prop_assert_eq!((ring.base(), ring.end()), (base, base + capacity as u64));
                let mut kept = vec![0; capacity];
                prop_assert!(ring.get(base, &mut kept));
                let put = |(n, byte): (usize, &u8)| model[base as usize + n] == 0 || model[base as usize + n] == *byte;
                prop_assert!(kept.iter().enumerate().all(put));
                prop_assert!(!ring.get(base + 1, &mut kept) && (base == 0 || !ring.get(base - 1, &mut [0])));
            }
        }
    }
}
