//! A whole handshake in which all keys of the client are zero, so that everyone knows what was agreed on.
//!
//! Noise allows it (revision 34, section 12.1): the server's messages are as secret as its client lets them be.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use toom_core::secure::{RECORD_HEADER_BYTES, Sealer, Suite, TAG_BYTES};
use toom_core::time::Instant;
use toom_core::wire::preamble::{PREAMBLE_BYTES, Preamble};

/// Says hello with a key of zeros, does the handshake with another, and sends these frames.
pub(super) fn send(stream: &mut TcpStream, frames: &[u8]) -> io::Result<()> {
    let preamble = Preamble::new(Suite::AesGcm).encode();
    stream.write_all(&[&preamble[..], &[0; 32]].concat())?;
    let (mut answer, mut second) = ([0; PREAMBLE_BYTES], [0; 96]);
    stream.read_exact(&mut answer)?;
    stream.read_exact(&mut second)?;
    let chosen = Preamble::decode(&answer).map_err(io::Error::other)?.chosen;
    let (third, key) = finish(chosen, &[preamble, answer].concat(), &second).map_err(io::Error::other)?;
    let mut record = [&[0; RECORD_HEADER_BYTES], frames, &[0; TAG_BYTES]].concat();
    Sealer::new(chosen, key.into(), Instant::ZERO).seal(Instant::ZERO, &mut record);
    stream.write_all(&[third, record].concat())
}

/// The client's last message, and the key of what it sends.
fn finish(suite: Suite, prologue: &[u8], second: &[u8]) -> Result<(Vec<u8>, [u8; 32]), Error> {
    let cipher = match suite {
        Suite::AesGcm => "AESGCM",
        Suite::ChaChaPoly => "ChaChaPoly",
    };
    let name = format!("Noise_XX_25519_{cipher}_BLAKE2s");
    let builder = Builder::with_resolver(name.parse()?, Box::new(Zeros));
    let mut state: HandshakeState = builder.local_private_key(&[0; 32])?.prologue(prologue)?.build_initiator()?;
    let mut message = vec![0; 256];
    state.write_message(&[], &mut message)?;
    state.read_message(second, &mut [0; 256])?;
    let length = state.write_message(&[], &mut message)?;
    message.truncate(length);
    Ok((message, state.dangerously_get_raw_split().0))
}

/// `snow`'s own primitives, but with keys that are zero.
struct Zeros;

impl CryptoResolver for Zeros {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Zeros))
    }

    fn resolve_dh(&self, _: &snow::params::DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(Zeros))
    }

    fn resolve_hash(&self, choice: &snow::params::HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &snow::params::CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

impl Random for Zeros {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        bytes.fill(0);
        Ok(())
    }
}

impl Dh for Zeros {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, _: &[u8]) {}

    fn generate(&mut self, _: &mut dyn Random) -> Result<(), Error> {
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &[0; 32]
    }

    fn privkey(&self) -> &[u8] {
        &[0; 32]
    }

    /// What X25519 gives for a point of order 1, whatever the other key is.
    fn dh(&self, _: &[u8], out: &mut [u8]) -> Result<(), Error> {
        out[..32].fill(0);
        Ok(())
    }
}
