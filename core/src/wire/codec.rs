//! One message to bytes and back: a length of four bytes (big-endian), then MessagePack.
//!
//! Decoding distrusts: the length is capped before anything is read, nesting is capped far below
//! `rmp-serde`'s default, and bytes after the message are refused (`rmp-serde` ignores them).

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::limits::{MAX_FRAME_BYTES, MAX_FRAME_DEPTH};

/// Bytes of the length in front of each frame.
pub const LENGTH_BYTES: usize = 4;

/// Why a frame's body is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum DecodeError {
    /// Not MessagePack, or not of the expected shape.
    #[error("a frame could not be understood")]
    Malformed,
    /// A whole message, and something after it.
    #[error("a frame has bytes after its message")]
    TrailingBytes,
    /// The announced length is over [`MAX_FRAME_BYTES`].
    #[error("a frame is larger than {MAX_FRAME_BYTES} bytes")]
    TooLong,
    /// A frame of no bytes.
    #[error("a frame is empty")]
    Empty,
}

/// `message` as one frame, its length in front.
///
/// Every message that this project makes is within its limits, and so within a frame.
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    let mut frame = vec![0; LENGTH_BYTES];
    // Writing to a Vec cannot fail, and our messages have no maps of unknown length.
    let encoded = rmp_serde::encode::write(&mut frame, message);
    debug_assert!(encoded.is_ok(), "a message that MessagePack cannot hold");
    let length = frame.len() - LENGTH_BYTES;
    debug_assert!(length <= MAX_FRAME_BYTES, "a message of {length} bytes does not fit a frame");
    frame[..LENGTH_BYTES].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    frame.into()
}

/// The length in front of a frame, if it is one that we accept.
pub fn decode_length(bytes: [u8; LENGTH_BYTES]) -> Result<usize, DecodeError> {
    match u32::from_be_bytes(bytes) as usize {
        0 => Err(DecodeError::Empty),
        length if length > MAX_FRAME_BYTES => Err(DecodeError::TooLong),
        length => Ok(length),
    }
}

/// The message in a frame's body (without its length).
pub fn decode<T: DeserializeOwned>(mut body: &[u8]) -> Result<T, DecodeError> {
    let mut decoder = rmp_serde::Deserializer::new(&mut body);
    decoder.set_max_depth(MAX_FRAME_DEPTH);
    let message = T::deserialize(&mut decoder).map_err(|_| DecodeError::Malformed)?;
    if body.is_empty() { Ok(message) } else { Err(DecodeError::TrailingBytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back() {
        let frame = encode(&("hello", 7u32));
        let (length, body) = frame.split_at(LENGTH_BYTES);
        assert_eq!(decode_length(length.try_into().unwrap()), Ok(body.len()));
        assert_eq!(decode::<(String, u32)>(body), Ok(("hello".to_owned(), 7)));
    }

    #[test]
    fn trailing_bytes_depth_and_length_are_refused() {
        let mut body = encode(&7u32)[LENGTH_BYTES..].to_vec();
        body.push(0);
        assert_eq!(decode::<u32>(&body), Err(DecodeError::TrailingBytes));

        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Nest(Vec<Nest>);
        assert_eq!(decode::<Nest>(&[0x91; 100_000]), Err(DecodeError::Malformed));

        assert_eq!(decode_length([0; 4]), Err(DecodeError::Empty));
        assert_eq!(decode_length([0xff; 4]), Err(DecodeError::TooLong));
    }

    #[test]
    fn an_announced_count_is_not_believed() {
        // An array of 2^32 - 1 elements, in five bytes: must fail at once, not allocate.
        assert_eq!(decode::<Vec<u64>>(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Malformed));
    }
}
