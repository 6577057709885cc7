//! The bytes of a TCP connection after its handshake, sealed in records.
//!
//! ```text
//! +---------------------------+--------------------------+---------+
//! | last of its key: 1 bit    |     frames (sealed)      |   tag   |
//! | length of the rest: 15    |      1 to 16,384         |   16    |
//! +---------------------------+--------------------------+---------+
//! ```
//!
//! Frames run through records as through a stream: a record may hold many, or a part of one. The two bytes in front
//! are associated data, the nonce is the record's number under its key. After a record that is marked as the last of
//! its key both ends go on with the next key (Noise, section 4.2: `REKEY`), and numbers begin again at 0. The end
//! that seals decides when: by bytes, and lazily by time, since a connection that says nothing need not wake for it.

use core::fmt;
use core::time::Duration;

use ring::aead::{Aad, LessSafeKey};
use zeroize::Zeroizing;

use super::{Suite, TAG_BYTES};
use crate::time::Instant;

/// Bytes in front of the sealed part.
pub const RECORD_HEADER_BYTES: usize = 2;

/// Frame bytes of one record: as in TLS, enough that the rest weighs nothing, little enough to wait for.
pub const MAX_RECORD_PAYLOAD: usize = 16 * 1024;

/// A whole record.
pub const MAX_RECORD_BYTES: usize = RECORD_HEADER_BYTES + MAX_RECORD_PAYLOAD + TAG_BYTES;

/// A key seals so many bytes, and then the record at hand: far under what is safe for AES-GCM (RFC 8446, section
/// 5.5: 2^24.5 full records), and so seldom that it costs nothing.
const REKEY_BYTES: u64 = 1 << 30;

/// A key seals for so long, and then one more record.
const REKEY_AFTER: Duration = Duration::from_secs(3_600);

const LAST_OF_KEY: u16 = 1 << 15;

/// Seals what this end writes.
pub struct Sealer {
    key: Key,
    /// Under this key.
    bytes: u64,
    since: Instant,
}

/// Opens what the other end wrote.
pub struct Opener {
    key: Key,
}

/// A record is not what the other end sealed as its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("something on the way changed what the other end sent")]
pub struct RecordForged;

/// What the first bytes of a record announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    last_of_key: bool,
    /// Of the whole record.
    pub length: usize,
}

impl Sealer {
    /// With a key that a handshake gave at `now`.
    pub fn new(suite: Suite, key: Zeroizing<[u8; 32]>, now: Instant) -> Sealer {
        Sealer { key: Key::new(suite, key), bytes: 0, since: now }
    }

    /// Seals one record in place: [`RECORD_HEADER_BYTES`] that are overwritten, 1 to [`MAX_RECORD_PAYLOAD`] bytes of
    /// frames, and [`TAG_BYTES`] that are overwritten. Records of another size, which nothing of ours makes, are left
    /// as they are.
    pub fn seal(&mut self, now: Instant, record: &mut [u8]) {
        let Some(length) = record.len().checked_sub(RECORD_HEADER_BYTES) else { return };
        let (header, rest) = record.split_at_mut(RECORD_HEADER_BYTES);
        let Some(payload) = length.checked_sub(TAG_BYTES).filter(|n| (1..=MAX_RECORD_PAYLOAD).contains(n)) else {
            return;
        };
        let (payload, tag) = rest.split_at_mut(payload);
        self.bytes += payload.len() as u64;
        let last_of_key = self.bytes >= REKEY_BYTES || now.saturating_since(self.since) >= REKEY_AFTER;
        let flag = if last_of_key { LAST_OF_KEY } else { 0 };
        // At most 2^14 + 16.
        header.copy_from_slice(&(flag | length as u16).to_be_bytes());
        let nonce = self.key.next_nonce();
        if let Ok(sealed) = self.key.cipher.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload) {
            tag.copy_from_slice(sealed.as_ref());
        }
        if last_of_key {
            self.key.advance();
            (self.bytes, self.since) = (0, now);
        }
    }
}

impl RecordHeader {
    /// The header in `bytes`; `None` if no record has such a length.
    pub fn decode(bytes: [u8; RECORD_HEADER_BYTES]) -> Option<RecordHeader> {
        let bits = u16::from_be_bytes(bytes);
        let rest = usize::from(bits & !LAST_OF_KEY);
        let fits = (TAG_BYTES + 1..=TAG_BYTES + MAX_RECORD_PAYLOAD).contains(&rest);
        fits.then_some(RecordHeader { last_of_key: bits & LAST_OF_KEY != 0, length: RECORD_HEADER_BYTES + rest })
    }
}

impl Opener {
    /// With a key that a handshake gave.
    pub fn new(suite: Suite, key: Zeroizing<[u8; 32]>) -> Opener {
        Opener { key: Key::new(suite, key) }
    }

    /// Opens one whole record in place, and gives its frame bytes. After an error nothing more can be opened.
    pub fn open<'a>(&mut self, header: RecordHeader, record: &'a mut [u8]) -> Result<&'a [u8], RecordForged> {
        let (clear, sealed) = record.split_at_mut_checked(RECORD_HEADER_BYTES).ok_or(RecordForged)?;
        let nonce = self.key.next_nonce();
        let payload = self.key.cipher.open_in_place(nonce, Aad::from(&*clear), sealed).map_err(|_| RecordForged)?;
        if header.last_of_key {
            self.key.advance();
        }
        Ok(payload)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

/// The key of one direction, and how many records it has sealed.
struct Key {
    suite: Suite,
    bytes: Zeroizing<[u8; 32]>,
    cipher: LessSafeKey,
    records: u64,
}

impl Key {
    fn new(suite: Suite, bytes: Zeroizing<[u8; 32]>) -> Key {
        Key { suite, cipher: suite.key(&bytes), bytes, records: 0 }
    }

    fn next_nonce(&mut self) -> ring::aead::Nonce {
        let nonce = self.suite.nonce(self.records);
        // An hour of records of one byte is far from 2^64.
        self.records += 1;
        nonce
    }

    fn advance(&mut self) {
        *self = Key::new(self.suite, self.suite.next_key(&self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends(suite: Suite) -> (Sealer, Opener) {
        let key = || Zeroizing::new([5; 32]);
        (Sealer::new(suite, key(), Instant::ZERO), Opener::new(suite, key()))
    }

    fn record(payload: &[u8]) -> Vec<u8> {
        [&[0; RECORD_HEADER_BYTES], payload, &[0; TAG_BYTES]].concat()
    }

    fn open(opener: &mut Opener, record: &mut [u8]) -> Result<Vec<u8>, RecordForged> {
        let header = RecordHeader::decode([record[0], record[1]]).ok_or(RecordForged)?;
        if header.length != record.len() {
            return Err(RecordForged);
        }
        opener.open(header, record).map(<[u8]>::to_vec)
    }

    proptest! {
        #[test]
        fn records_open_in_their_order_across_keys(
            steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..60), 0u64..3_000), 1..20),
            suite in prop::sample::select(&Suite::ALL),
        ) {
            let ((mut sealer, mut opener), mut now) = (ends(suite), Instant::ZERO);
            for (payload, seconds) in steps {
                now = now + Duration::from_secs(seconds);
                let mut record = record(&payload);
                sealer.seal(now, &mut record);
                prop_assert!(payload.len() < 4 || !record.windows(payload.len()).any(|piece| piece == payload));
                prop_assert_eq!(open(&mut opener, &mut record), Ok(payload));
            }
        }
    }

    #[test]
    fn a_record_that_was_altered_repeated_or_left_out_is_refused() {
        for suite in Suite::ALL {
            let (mut sealer, _) = ends(suite);
            let mut records: Vec<_> = (0..3).map(|n| record(&[n; 9])).collect();
            records.iter_mut().for_each(|record| sealer.seal(Instant::ZERO, record));
            for bit in 0..records[0].len() * 8 {
                let mut altered = records[0].clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&mut ends(suite).1, &mut altered), Err(RecordForged), "bit {bit}");
            }
            let (_, mut opener) = ends(suite);
            assert_eq!(open(&mut opener, &mut records[0].clone()), Ok(vec![0; 9]));
            assert_eq!(open(&mut opener, &mut records[0].clone()), Err(RecordForged), "repeated");
            let (_, mut opener) = ends(suite);
            assert_eq!(open(&mut opener, &mut records[1].clone()), Err(RecordForged), "the first was left out");
        }
    }

    #[test]
    fn a_key_is_replaced_after_its_bytes_and_after_its_time() {
        let marked = |record: &[u8]| record[0] & 0x80 != 0;
        let (mut sealer, mut opener) = ends(Suite::AesGcm);
        sealer.bytes = REKEY_BYTES - 9;
        let mut records = [record(&[1; 8]), record(&[2; 8]), record(&[3; 8])];
        let before = sealer.key.bytes.clone();
        records.iter_mut().for_each(|record| sealer.seal(Instant::ZERO, record));
        assert_eq!(records.each_ref().map(|record| marked(record)), [false, true, false]);
        assert_ne!(before, sealer.key.bytes);
        for (n, record) in records.iter_mut().enumerate() {
            assert_eq!(open(&mut opener, record), Ok(vec![n as u8 + 1; 8]));
        }

        let (mut sealer, _) = ends(Suite::AesGcm);
        let mut early = record(&[1]);
        sealer.seal(Instant::ZERO + (REKEY_AFTER - Duration::from_nanos(1)), &mut early);
        let mut late = record(&[1]);
        sealer.seal(Instant::ZERO + REKEY_AFTER, &mut late);
        let mut next = record(&[1]);
        sealer.seal(Instant::ZERO + REKEY_AFTER, &mut next);
        assert!(!marked(&early) && marked(&late) && !marked(&next));
    }

    #[test]
    fn headers_announce_only_lengths_that_records_have() {
        for (rest, whole) in [(0, None), (16, None), (17, Some(19)), (16_400, Some(16_402)), (16_401, None)] {
            let header = RecordHeader::decode(u16::to_be_bytes(rest));
            assert_eq!(header.map(|header| header.length), whole, "{rest}");
            let header = RecordHeader::decode(u16::to_be_bytes(rest | LAST_OF_KEY));
            assert_eq!(header.map(|header| header.length), whole, "{rest}");
        }
    }
}
