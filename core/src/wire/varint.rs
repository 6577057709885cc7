//! Integers of variable length, as in QUIC (RFC 9000, section 16).

/// The largest number that a variable-length integer can hold.
pub const MAX_VARINT: u64 = (1 << 62) - 1;

/// Appends `value` in the shortest form; what is too large is cut to [`MAX_VARINT`].
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    let value = value.min(MAX_VARINT);
    match value {
        0..64 => out.push(value as u8),
        64..16_384 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        16_384..1_073_741_824 => put_varint4(out, value as u32),
        _ => put_varint8(out, value),
    }
}

/// `value` in two bytes, whatever it is; at most 2^14 - 1.
pub fn varint2(value: u16) -> [u8; 2] {
    (value.min(0x3fff) | 0x4000).to_be_bytes()
}

/// Appends `value` in four bytes, whatever it is; at most 2^30 - 1.
pub fn put_varint4(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&(value.min(0x3fff_ffff) | 0x8000_0000).to_be_bytes());
}

/// Appends `value` in eight bytes, whatever it is; at most [`MAX_VARINT`].
pub fn put_varint8(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&(value.min(MAX_VARINT) | 0xc000_0000_0000_0000).to_be_bytes());
}

/// Reads from the front of a slice; every read is `None` when too little is left.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte, which stays.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The next variable-length integer.
    pub fn varint(&mut self) -> Option<u64> {
        let length = 1 << (self.peek()? >> 6);
        let mut bytes = [0; 8];
        bytes[8 - length..].copy_from_slice(self.take(length)?);
        bytes[8 - length] &= 0x3f;
        Some(u64::from_be_bytes(bytes))
    }

    /// Skips bytes that are `byte`.
    pub fn skip_run(&mut self, byte: u8) {
        while self.peek() == Some(byte) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_rfc_9000_appendix_a_1() {
        for (bytes, value) in [
            ([0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c].as_slice(), 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!((reader.varint(), reader.position()), (Some(value), bytes.len()));
            assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).varint(), None);
        }
    }

    proptest! {
        #[test]
        fn every_form_comes_back(value in 0..=MAX_VARINT, small in 0u16..0x4000, middle in 0u32..0x4000_0000) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_varint8(&mut out, value);
            put_varint4(&mut out, middle);
            put_varint(&mut out, u64::from(middle));
            out.extend_from_slice(&varint2(small));
            put_varint(&mut out, u64::from(small));
            let mut reader = Reader::new(&out);
            for expected in [value, value, middle.into(), middle.into(), small.into(), small.into()] {
                prop_assert_eq!(reader.varint(), Some(expected));
            }
            prop_assert_eq!(reader.position(), out.len());
        }
    }
}
