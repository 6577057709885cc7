//! How a connection begins: both ends greet, agree on keys, and learn who the other one is.
//!
//! ```text
//! client                                     server
//!   preamble, e                       ---->
//!                                     <----  preamble, e, ee, s, es
//!   s, se                             ---->
//!   (sealed records from here on)     <--->
//! ```
//!
//! That is `Noise_XX_25519_{AESGCM|ChaChaPoly}_BLAKE2s` with both preambles as its prologue, and nothing else in its
//! messages. The server chooses the cipher: its preamble comes after the client's first message, which is the same
//! for both ciphers (an ephemeral key in clear). A client that does not get the server's key that it expects says
//! nothing more, so that an impostor does not even learn its key.

use std::sync::Arc;

use super::Violation;
use crate::secure::{Handshake, Keys, Opener, Pattern, PublicKey, Sealer, SecretKey, Setup, Suite};
use crate::time::Instant;
use crate::wire::packet::Role;
use crate::wire::preamble::{PREAMBLE_BYTES, Preamble};

/// Who one is on one's connections.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The long-lived key.
    pub secret: SecretKey,
    /// The faster cipher here.
    pub best: Suite,
}

/// Both ends have proved who they are.
#[derive(Debug)]
pub struct Established {
    /// Seals what this end writes from now on.
    pub sealer: Sealer,
    /// The other end's key.
    pub remote: PublicKey,
}

/// `e`.
const FIRST_BYTES: usize = 32;
/// `e, ee, s, es`: the key sealed, and the empty payload.
const SECOND_BYTES: usize = 32 + (32 + 16) + 16;
/// `s, se`: the key sealed, and the empty payload.
const THIRD_BYTES: usize = (32 + 16) + 16;
/// The longest thing that is waited for.
pub(super) const MAX_HANDSHAKE_BYTES: usize = SECOND_BYTES;

/// One end of a handshake.
#[derive(Debug)]
pub(super) struct Handshaking {
    identity: Arc<Identity>,
    seed: [u8; 32],
    step: Step,
}

#[derive(Debug)]
enum Step {
    ClientAwaitsPreamble { expected: Option<PublicKey> },
    ClientAwaitsSecond { expected: Option<PublicKey>, suite: Suite, handshake: Handshake },
    ServerAwaitsPreamble,
    ServerAwaitsFirst { client: Preamble },
    ServerAwaitsThird { suite: Suite, handshake: Handshake },
}

/// What came of the bytes that were waited for.
#[derive(Debug, Default)]
pub(super) struct Stepped {
    /// To be written in clear.
    pub(super) reply: Option<Vec<u8>>,
    /// The handshake is done.
    pub(super) done: Option<(Established, Opener)>,
}

impl Handshaking {
    /// A client's, and what it says first. `expected` is the server's key; with `None` the handshake ends when the
    /// key is known.
    pub(super) fn client(
        identity: Arc<Identity>,
        seed: [u8; 32],
        expected: Option<PublicKey>,
    ) -> (Handshaking, Vec<u8>) {
        let preamble = Preamble::new(identity.best);
        // Neither the prologue nor the cipher is known yet, and neither changes this message.
        let first = handshake(&identity, seed, Role::Initiator, identity.best, &[]).write(&[]).unwrap_or_default();
        let hello = [&preamble.encode()[..], &first].concat();
        (Handshaking { identity, seed, step: Step::ClientAwaitsPreamble { expected } }, hello)
    }

    /// A server's.
    pub(super) fn server(identity: Arc<Identity>, seed: [u8; 32]) -> Handshaking {
        Handshaking { identity, seed, step: Step::ServerAwaitsPreamble }
    }

    /// How many bytes the next step takes.
    pub(super) fn wanted(&self) -> usize {
        match self.step {
            Step::ClientAwaitsPreamble { .. } | Step::ServerAwaitsPreamble => PREAMBLE_BYTES,
            Step::ClientAwaitsSecond { .. } => SECOND_BYTES,
            Step::ServerAwaitsFirst { .. } => FIRST_BYTES,
            Step::ServerAwaitsThird { .. } => THIRD_BYTES,
        }
    }

    /// Takes the next step with exactly [`wanted`](Handshaking::wanted) bytes.
    pub(super) fn step(&mut self, now: Instant, bytes: &[u8]) -> Result<Stepped, Violation> {
        match &mut self.step {
            Step::ClientAwaitsPreamble { expected } => {
                let server = decode(bytes)?;
                let prologue = [Preamble::new(self.identity.best).encode(), server.encode()].concat();
                let mut handshake = handshake(&self.identity, self.seed, Role::Initiator, server.chosen, &prologue);
                // The same bytes as those that were sent.
                handshake.write(&[])?;
                self.step = Step::ClientAwaitsSecond { expected: *expected, suite: server.chosen, handshake };
                Ok(Stepped::default())
            }
            Step::ClientAwaitsSecond { expected, suite, handshake } => {
                handshake.read(bytes)?;
                let remote = remote(handshake)?;
                match *expected {
                    None => return Err(Violation::UnknownKey(remote)),
                    Some(expected) if expected != remote => {
                        return Err(Violation::ChangedKey { expected, presented: remote });
                    }
                    Some(_) => {}
                }
                let third = handshake.write(&[])?;
                let Keys { of_initiator, of_responder } = handshake.keys()?;
                let established = Established { sealer: Sealer::new(*suite, of_initiator, now), remote };
                Ok(Stepped { reply: Some(third), done: Some((established, Opener::new(*suite, of_responder))) })
            }
            Step::ServerAwaitsPreamble => {
                self.step = Step::ServerAwaitsFirst { client: decode(bytes)? };
                Ok(Stepped::default())
            }
            Step::ServerAwaitsFirst { client } => {
                let server = client.answer(self.identity.best)?;
                let prologue = [client.encode(), server.encode()].concat();
                let mut handshake = handshake(&self.identity, self.seed, Role::Responder, server.chosen, &prologue);
                handshake.read(bytes)?;
                let reply = [&server.encode()[..], &handshake.write(&[])?].concat();
                self.step = Step::ServerAwaitsThird { suite: server.chosen, handshake };
                Ok(Stepped { reply: Some(reply), done: None })
            }
            Step::ServerAwaitsThird { suite, handshake } => {
                handshake.read(bytes)?;
                let remote = remote(handshake)?;
                let Keys { of_initiator, of_responder } = handshake.keys()?;
                let established = Established { sealer: Sealer::new(*suite, of_responder, now), remote };
                Ok(Stepped { reply: None, done: Some((established, Opener::new(*suite, of_initiator))) })
            }
        }
    }
}

/// The other end's key, which must be one that it can have for itself.
fn remote(handshake: &Handshake) -> Result<PublicKey, Violation> {
    handshake.remote().filter(|key| !key.is_of_low_order()).ok_or(Violation::Handshake)
}

fn decode(bytes: &[u8]) -> Result<Preamble, Violation> {
    let bytes = bytes.try_into().map_err(|_| Violation::Handshake)?;
    Ok(Preamble::decode(bytes)?)
}

fn handshake(identity: &Identity, seed: [u8; 32], role: Role, suite: Suite, prologue: &[u8]) -> Handshake {
    let (pattern, local) = (Pattern::Xx, &identity.secret);
    Handshake::new(&Setup { pattern, suite, role, local, remote: None, shared: None, prologue, seed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::preamble::PreambleError;

    fn identity(byte: u8, best: Suite) -> Arc<Identity> {
        Arc::new(Identity { secret: SecretKey::new([byte; 32]), best })
    }

    /// Feeds `from` to `to`, step by step; what came of it.
    fn feed(to: &mut Handshaking, mut from: &[u8]) -> Result<Stepped, Violation> {
        let mut last = Stepped::default();
        while !from.is_empty() {
            let (step, rest) = from.split_at(to.wanted());
            last = to.step(Instant::ZERO, step)?;
            from = rest;
        }
        Ok(last)
    }

    fn server_key() -> PublicKey {
        SecretKey::new([2; 32]).public()
    }

    #[test]
    fn both_learn_each_other_whatever_ciphers_they_like() {
        for client_best in Suite::ALL {
            for server_best in Suite::ALL {
                let (mut client, hello) = Handshaking::client(identity(1, client_best), [3; 32], Some(server_key()));
                let mut server = Handshaking::server(identity(2, server_best), [4; 32]);
                let answer = feed(&mut server, &hello).unwrap().reply.unwrap();
                let Stepped { reply, done } = feed(&mut client, &answer).unwrap();
                let (at_client, _) = done.unwrap();
                let (at_server, _) = feed(&mut server, &reply.unwrap()).unwrap().done.unwrap();
                assert_eq!(at_client.remote, server_key());
                assert_eq!(at_server.remote, SecretKey::new([1; 32]).public());
            }
        }
    }

    #[test]
    fn a_client_says_nothing_to_a_key_that_it_does_not_expect() {
        let other = SecretKey::new([9; 32]).public();
        for (expected, why) in [
            (None, Violation::UnknownKey(server_key())),
            (Some(other), Violation::ChangedKey { expected: other, presented: server_key() }),
        ] {
            let (mut client, hello) = Handshaking::client(identity(1, Suite::AesGcm), [3; 32], expected);
            let mut server = Handshaking::server(identity(2, Suite::AesGcm), [4; 32]);
            let answer = feed(&mut server, &hello).unwrap().reply.unwrap();
            assert_eq!(feed(&mut client, &answer).unwrap_err(), why);
        }
    }

    #[test]
    fn whatever_is_altered_on_the_way_ends_the_handshake() {
        let start = || {
            let (client, hello) = Handshaking::client(identity(1, Suite::AesGcm), [3; 32], Some(server_key()));
            (client, Handshaking::server(identity(2, Suite::AesGcm), [4; 32]), hello)
        };
        let (mut client, mut server, hello) = start();
        let answer = feed(&mut server, &hello).unwrap().reply.unwrap();
        let third = feed(&mut client, &answer).unwrap().reply.unwrap();
        for bit in 0..hello.len() * 8 {
            let (mut client, mut server, mut hello) = start();
            hello[bit / 8] ^= 1 << (bit % 8);
            let answered = feed(&mut server, &hello).map(|stepped| stepped.reply.unwrap());
            // The top bit of an X25519 key is not part of it (RFC 7748, section 5), but of the transcript.
            assert!(answered.and_then(|answer| feed(&mut client, &answer)).is_err(), "bit {bit} of the hello");
        }
        for bit in 0..answer.len() * 8 {
            let (mut client, _, _) = start();
            let mut answer = answer.clone();
            answer[bit / 8] ^= 1 << (bit % 8);
            assert!(feed(&mut client, &answer).is_err(), "bit {bit} of the answer");
        }
        for bit in 0..third.len() * 8 {
            let (_, mut server, hello) = start();
            feed(&mut server, &hello).unwrap();
            let mut third = third.clone();
            third[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(feed(&mut server, &third).unwrap_err(), Violation::Handshake, "bit {bit} of the third message");
        }
    }

    #[test]
    fn what_is_not_toom_is_refused_at_its_first_bytes() {
        let mut server = Handshaking::server(identity(2, Suite::AesGcm), [4; 32]);
        let refused = server.step(Instant::ZERO, b"GET / HT").unwrap_err();
        assert_eq!(refused, PreambleError::NotToom.into());
    }
}
