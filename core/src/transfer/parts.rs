//! What a receiver of many files has of them already.
//!
//! # Theory of operation
//!
//! Several files, or a folder, are sent as one run of bytes: a listing of all that there is ([`super::listing`]), and
//! then the contents of the files, one after the other. The sender waits after the listing. The receiver looks what it
//! has: files that an earlier transfer published or left unfinished, each as a [`Part`] with its hash. The sender hashes
//! as much of its own files and answers which parts are the same, with one bit for each; both ends leave those out, and
//! so agree where every byte that follows belongs.

use crate::wire::peer_frame::FlowId;

/// The flow of what the receiver has.
pub(super) const PARTS: FlowId = FlowId(3);
/// The flow of the answer.
pub(super) const ANSWER: FlowId = FlowId(4);

/// Parts of one transfer: as many as there may be entries in a listing.
pub const MAX_PARTS: usize = super::listing::MAX_ENTRIES;

/// Entry 4, bytes 8, hash 32.
const PART_BYTES: usize = 44;

/// The number of parts goes before them, so that an empty list is something to send, too.
const COUNT_BYTES: usize = 4;

/// The most that a list of parts takes.
pub(super) const MAX_PARTS_BYTES: usize = COUNT_BYTES + MAX_PARTS * PART_BYTES;

/// Where the flow of the contents will end goes before the answer.
const END_BYTES: usize = 8;

/// The beginning of a file that a receiver has, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which entry of the listing, from 0.
    pub entry: u32,
    /// How much of it.
    pub bytes: u64,
    /// Of so much.
    pub blake3: [u8; 32],
}

/// As they travel; those beyond [`MAX_PARTS`] are left out, which costs no more than sending them.
pub(super) fn encode(parts: &[Part]) -> Vec<u8> {
    let parts = &parts[..parts.len().min(MAX_PARTS)];
    let mut encoded = Vec::with_capacity(COUNT_BYTES + parts.len() * PART_BYTES);
    encoded.extend_from_slice(&(parts.len() as u32).to_be_bytes());
    for part in parts {
        encoded.extend_from_slice(&part.entry.to_be_bytes());
        encoded.extend_from_slice(&part.bytes.to_be_bytes());
        encoded.extend_from_slice(&part.blake3);
    }
    encoded
}

/// What was said; `None` if it is no list, or its entries are not in order.
pub(super) fn decode(encoded: &[u8]) -> Option<Vec<Part>> {
    let (count, encoded) = encoded.split_first_chunk::<COUNT_BYTES>()?;
    let (encoded, rest) = encoded.as_chunks::<PART_BYTES>();
    if !rest.is_empty() || encoded.len() > MAX_PARTS || encoded.len() as u64 != u64::from(u32::from_be_bytes(*count)) {
        return None;
    }
    let parts: Vec<Part> = encoded.iter().map(decode_one).collect();
    let is_list = parts.is_sorted_by(|a, b| a.entry < b.entry);
    is_list.then_some(parts)
}

fn decode_one(encoded: &[u8; PART_BYTES]) -> Part {
    let (mut entry, mut bytes, mut blake3) = ([0; 4], [0; 8], [0; 32]);
    entry.copy_from_slice(&encoded[..4]);
    bytes.copy_from_slice(&encoded[4..12]);
    blake3.copy_from_slice(&encoded[12..]);
    Part { entry: u32::from_be_bytes(entry), bytes: u64::from_be_bytes(bytes), blake3 }
}

/// Which of the parts are the same, after where the flow of the contents will end.
pub(super) fn encode_answer(end: u64, same: &[bool]) -> Vec<u8> {
    [&end.to_be_bytes()[..], &encode_same(same)].concat()
}

/// How long the answer about `count` parts is.
pub(super) fn answer_bytes(count: usize) -> usize {
    END_BYTES + count.div_ceil(8)
}

/// The answer about `count` parts.
pub(super) fn decode_answer(encoded: &[u8], count: usize) -> Option<(u64, Vec<bool>)> {
    let (end, same) = encoded.split_first_chunk::<END_BYTES>()?;
    Some((u64::from_be_bytes(*end), decode_same(same, count)?))
}

/// One bit for each part, the first in the lowest place of the first byte.
fn encode_same(same: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (place, bit)| byte | u8::from(*bit) << place);
    same.chunks(8).map(byte).collect()
}

/// The answers for `count` parts; the bits behind them must be zero.
fn decode_same(encoded: &[u8], count: usize) -> Option<Vec<bool>> {
    let same: Vec<bool> =
        (0..count).map(|at| encoded.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)).collect();
    (encode_same(&same) == encoded).then_some(same)
}

/// How many bytes are left out of parts of these lengths; `None` if that is more than a number holds.
pub(super) fn left_out(parts: &[u64], same: &[bool]) -> Option<u64> {
    let mut left_out = parts.iter().zip(same).filter(|(_, same)| **same).map(|(bytes, _)| *bytes);
    left_out.try_fold(0, u64::checked_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(entry: u32, bytes: u64) -> Part {
        Part { entry, bytes, blake3: [entry as u8; 32] }
    }

    #[test]
    fn only_lists_in_order_are_lists() {
        let parts = [part(0, 5), part(1, 0), part(7, u64::MAX)];
        let encoded = encode(&parts);
        assert_eq!(decode(&encoded), Some(parts.to_vec()));
        assert_eq!(decode(&encoded[..encoded.len() - 1]), None);
        assert_eq!(decode(&encode(&[part(1, 5), part(1, 5)])), None);
        assert_eq!(decode(&encode(&[part(2, 5), part(1, 5)])), None);
        assert_eq!((decode(&[]), decode(&[0; COUNT_BYTES])), (None, Some(vec![])));
        assert_eq!(decode(&[0, 0, 0, 1]), None);
    }

    #[test]
    fn what_is_left_out_is_counted_without_overflow() {
        assert_eq!(left_out(&[5, 6, 7], &[true, false, true]), Some(12));
        assert_eq!(left_out(&[u64::MAX, 1], &[true, true]), None);
    }

    #[test]
    fn an_answer_tells_the_end_too() {
        let encoded = encode_answer(1 << 40, &[true, false, true]);
        assert_eq!(encoded.len(), answer_bytes(3));
        assert_eq!(decode_answer(&encoded, 3), Some((1 << 40, vec![true, false, true])));
        assert_eq!(decode_answer(&encoded[..7], 3), None);
    }

    proptest! {
        #[test]
        fn answers_come_back_and_nothing_else_is_one(same in prop::collection::vec(any::<bool>(), 0..40), bent: u8) {
            let encoded = encode_same(&same);
            prop_assert_eq!(decode_same(&encoded, same.len()), Some(same.clone()));
            prop_assert_eq!(decode_same(&[&encoded[..], &[0]].concat(), same.len()), None);
            if let Some((last, _)) = encoded.split_last() && same.len() % 8 != 0 {
                let mut other = encoded.clone();
                *other.last_mut().unwrap() = last | 0x80;
                prop_assert_eq!(decode_same(&other, same.len()), None);
            }
            let other = vec![bent; encoded.len()];
            prop_assert!(decode_same(&other, same.len()).is_none_or(|answers| encode_same(&answers) == other));
        }
    }
}
