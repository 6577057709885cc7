//! Handshakes of the Noise protocol framework (revision 34), by `snow`.
//!
//! Only the handshakes: what they agree on are two keys, with which [`record`](super::record) and
//! [`packet`](super::packet) seal and open in place. Randomness comes from a seed, so that a machine with a
//! handshake in it is as deterministic as the others.

use core::fmt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::{PublicKey, SecretKey, Suite};
use crate::wire::packet::Role;

/// Which messages are exchanged, and what each end knows before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Neither end knows the other's key; both are told, encrypted.
    Xx,
    /// Both know each other's keys, and share a secret.
    KkPsk0,
    /// One message from one known end to another.
    K,
}

/// What a handshake begins with.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Which messages.
    pub pattern: Pattern,
    /// The cipher, within the handshake too.
    pub suite: Suite,
    /// Which end one is.
    pub role: Role,
    /// One's own key.
    pub local: &'a SecretKey,
    /// The other end's; `None` for [`Pattern::Xx`].
    pub remote: Option<&'a PublicKey>,
    /// What both ends share; for [`Pattern::KkPsk0`] only.
    pub shared: Option<&'a [u8; 32]>,
    /// What both ends must agree on, or the handshake fails.
    pub prologue: &'a [u8],
    /// For the ephemeral key: random, and used for nothing else.
    pub seed: [u8; 32],
}

/// One end of a handshake.
pub struct Handshake {
    /// `None` if it could not be set up: then every step fails.
    state: Option<Box<HandshakeState>>,
}

/// The handshake cannot go on: its message was forged or altered, the other end has another prologue, key or
/// secret, or it is not this end's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the handshake failed")]
pub struct HandshakeFailed;

/// What a handshake agreed on.
pub struct Keys {
    /// Of what the initiator sends.
    pub of_initiator: Zeroizing<[u8; 32]>,
    /// Of what the responder sends.
    pub of_responder: Zeroizing<[u8; 32]>,
}

/// More than any of our handshake messages has without its payload.
const MAX_OVERHEAD: usize = 128;

impl Handshake {
    /// A handshake of which nothing was sent.
    pub fn new(setup: &Setup<'_>) -> Handshake {
        Handshake { state: build(setup).ok().map(Box::new) }
    }

    /// The next message, with `payload` (sealed as soon as the pattern has a key for it).
    pub fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, HandshakeFailed> {
        let state = self.state.as_mut().ok_or(HandshakeFailed)?;
        let mut message = vec![0; payload.len() + MAX_OVERHEAD];
        let length = state.write_message(payload, &mut message).map_err(|_| HandshakeFailed)?;
        message.truncate(length);
        Ok(message)
    }

    /// The payload of the other end's next message. After a failure the handshake is where it was before.
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, HandshakeFailed> {
        let state = self.state.as_mut().ok_or(HandshakeFailed)?;
        let mut payload = vec![0; message.len()];
        let length = state.read_message(message, &mut payload).map_err(|_| HandshakeFailed)?;
        payload.truncate(length);
        Ok(payload)
    }

    /// The other end's key, once it is known.
    pub fn remote(&self) -> Option<PublicKey> {
        let key = self.state.as_ref()?.get_remote_static()?;
        Some(PublicKey(key.try_into().ok()?))
    }

    /// What was agreed on, once all messages were exchanged.
    pub fn keys(&mut self) -> Result<Keys, HandshakeFailed> {
        let state = self.state.as_mut().filter(|state| state.is_handshake_finished()).ok_or(HandshakeFailed)?;
        let (of_initiator, of_responder) = state.dangerously_get_raw_split();
        Ok(Keys { of_initiator: Zeroizing::new(of_initiator), of_responder: Zeroizing::new(of_responder) })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake(..)")
    }
}

fn build(setup: &Setup<'_>) -> Result<HandshakeState, snow::Error> {
    let pattern = match setup.pattern {
        Pattern::Xx => "XX",
        Pattern::KkPsk0 => "KKpsk0",
        Pattern::K => "K",
    };
    let name = format!("Noise_{pattern}_25519_{}_BLAKE2s", setup.suite.noise_name());
    let mut builder = Builder::with_resolver(name.parse()?, Box::new(Seeded(setup.seed)))
        .local_private_key(setup.local.as_bytes())?
        .prologue(setup.prologue)?;
    if let Some(remote) = setup.remote {
        builder = builder.remote_public_key(&remote.0)?;
    }
    if let Some(shared) = setup.shared {
        builder = builder.psk(0, shared)?;
    }
    match setup.role {
        Role::Initiator => builder.build_initiator(),
        Role::Responder => builder.build_responder(),
    }
}

/// `snow`'s own primitives, with randomness from a seed.
struct Seeded([u8; 32]);

impl Drop for Seeded {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRandom(ChaCha20Rng::from_seed(self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SeededRandom(ChaCha20Rng);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> SecretKey {
        SecretKey::new([byte; 32])
    }

    fn end(role: Role, suite: Suite, pattern: Pattern, prologue: &[u8], shared: &[u8; 32]) -> Handshake {
        let (local, remote) = match role {
            Role::Initiator => (secret(1), secret(2).public()),
            Role::Responder => (secret(2), secret(1).public()),
        };
        let (remote, shared) = match pattern {
            Pattern::Xx => (None, None),
            Pattern::KkPsk0 => (Some(&remote), Some(shared)),
            Pattern::K => (Some(&remote), None),
        };
        let seed = [role as u8 + 7; 32];
        Handshake::new(&Setup { pattern, suite, role, local: &local, remote, shared, prologue, seed })
    }

    fn pair(suite: Suite, pattern: Pattern) -> (Handshake, Handshake) {
        let end = |role| end(role, suite, pattern, b"prologue", &[9; 32]);
        (end(Role::Initiator), end(Role::Responder))
    }

    #[test]
    fn both_ends_agree_on_keys_and_learn_each_other() {
        for suite in Suite::ALL {
            for (pattern, messages) in [(Pattern::Xx, 3), (Pattern::KkPsk0, 2), (Pattern::K, 1)] {
                let (mut initiator, mut responder) = pair(suite, pattern);
                for turn in 0..messages {
                    let (from, to) =
                        if turn % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
                    assert!(from.keys().is_err(), "not before the last message");
                    let message = from.write(b"hello").unwrap();
                    assert_eq!(to.read(&message).unwrap(), b"hello");
                }
                let (ours, theirs) = (initiator.keys().unwrap(), responder.keys().unwrap());
                assert_eq!((&*ours.of_initiator, &*ours.of_responder), (&*theirs.of_initiator, &*theirs.of_responder));
                assert_ne!(ours.of_initiator, ours.of_responder);
                assert_eq!(initiator.remote(), Some(secret(2).public()));
                assert_eq!(responder.remote(), Some(secret(1).public()));
            }
        }
    }

    #[test]
    fn another_prologue_or_secret_or_an_altered_message_fails() {
        let end = |role, prologue, shared| end(role, Suite::AesGcm, Pattern::KkPsk0, prologue, shared);
        let message = end(Role::Initiator, b"p", &[9; 32]).write(b"").unwrap();
        assert!(end(Role::Responder, b"p", &[9; 32]).read(&message).is_ok());
        assert_eq!(end(Role::Responder, b"q", &[9; 32]).read(&message), Err(HandshakeFailed));
        assert_eq!(end(Role::Responder, b"p", &[8; 32]).read(&message), Err(HandshakeFailed));
        for byte in 0..message.len() {
            let mut altered = message.clone();
            altered[byte] ^= 1;
            let mut responder = end(Role::Responder, b"p", &[9; 32]);
            assert_eq!(responder.read(&altered), Err(HandshakeFailed), "byte {byte}");
            assert!(responder.read(&message).is_ok(), "a forged message must not spoil the handshake");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let message = || pair(Suite::ChaChaPoly, Pattern::Xx).0.write(b"").unwrap();
        assert_eq!(message(), message());
    }
}
