//! What the tests of both halves need: two ends whose handshake is done.

use std::sync::Arc;

use super::{Identity, Inbound, Input, Outbound, Output};
use crate::machine::Machine;
use crate::secure::{SecretKey, Suite};
use crate::time::Instant;
use crate::wire::packet::Role;

pub(super) type Message = (String, u32);

/// A client's key, or a server's.
pub(super) fn identity(role: Role) -> Arc<Identity> {
    Arc::new(Identity { secret: SecretKey::new([role as u8 + 1; 32]), best: Suite::AesGcm })
}

/// The halves of a server's end.
pub(super) fn server(now: Instant) -> (Inbound<Message>, Outbound) {
    (Inbound::server(now, identity(Role::Responder), [4; 32]), Outbound::new())
}

/// The halves of a client's end, its first words waiting.
pub(super) fn client(now: Instant) -> (Inbound<Message>, Outbound) {
    let expected = identity(Role::Responder).secret.public();
    let (inbound, hello) = Inbound::client(now, identity(Role::Initiator), [3; 32], Some(expected));
    let mut outbound = Outbound::new();
    outbound.push_handshake(&hello);
    (inbound, outbound)
}

/// Carries what waits at one end to the other, and what that one then has to write into its outbox; what else it says.
pub(super) fn carry(
    now: Instant,
    from: &mut Outbound,
    (inbound, outbound): (&mut Inbound<Message>, &mut Outbound),
) -> Vec<Output<Message>> {
    from.seal(now);
    let mut bytes = from.pending().to_vec();
    from.written(bytes.len());
    let mut out = Vec::new();
    inbound.handle(now, Input::Bytes(&mut bytes), &mut out);
    let mut rest = Vec::new();
    for output in out {
        match output {
            Output::Handshake(bytes) => outbound.push_handshake(&bytes),
            Output::Established(established) => outbound.establish(*established),
            output => rest.push(output),
        }
    }
    rest
}

/// Two ends whose handshake is done.
pub(super) struct Pair {
    pub(super) client: (Inbound<Message>, Outbound),
    pub(super) server: (Inbound<Message>, Outbound),
}

impl Pair {
    pub(super) fn established() -> Pair {
        let (mut client, mut server) = (client(Instant::ZERO), server(Instant::ZERO));
        for _ in 0..2 {
            let said = carry(Instant::ZERO, &mut client.1, (&mut server.0, &mut server.1));
            assert!(said.is_empty(), "{said:?}");
            let said = carry(Instant::ZERO, &mut server.1, (&mut client.0, &mut client.1));
            assert!(said.is_empty(), "{said:?}");
        }
        Pair { client, server }
    }
}
