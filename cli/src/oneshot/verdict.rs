//! How a command exits whose file did not arrive.

use toom_core::client::event::{Direction, Failure, Transfer, TransferFailure};
use toom_core::wire::message::LoginRefusal;

use crate::exit::Exit;

/// After a refused login.
pub(super) fn of_login(refusal: LoginRefusal) -> Exit {
    match refusal {
        LoginRefusal::Busy { .. } => Exit::Unreachable,
        _ => Exit::Refused,
    }
}

/// After a command that the server or this computer refused.
pub(super) fn of_command(failure: &Failure) -> Exit {
    match failure {
        Failure::NoSuchFile(_) | Failure::UnreadableFile(_) => Exit::Failed,
        Failure::PeerKeyChanged { .. } => Exit::KeyChanged,
        Failure::Busy | Failure::NotLoggedIn | Failure::ConnectionLost | Failure::StorageFailed => Exit::Unreachable,
        // No such user, offline, oneself, a limit: asking for the same again changes nothing.
        _ => Exit::NotAllowed,
    }
}

/// After a transfer that failed because of `failure`. What has begun to arrive is kept by its receiver, unless that
/// is what failed, or it is a stream, of which nobody can send the rest.
pub(super) fn of_transfer(failure: &TransferFailure, transfer: &Transfer, is_stream: bool) -> Exit {
    let partial_or = |otherwise| match transfer.bytes {
        0 => otherwise,
        _ if is_stream => Exit::Failed,
        _ => Exit::Partial,
    };
    match failure {
        TransferFailure::Rejected | TransferFailure::Expired | TransferFailure::Withdrawn => Exit::NotAllowed,
        // It had begun, whether or not anything of it was seen here.
        TransferFailure::Cancelled | TransferFailure::CancelledByPeer if is_stream => Exit::Failed,
        TransferFailure::PeerLeft | TransferFailure::Cancelled | TransferFailure::CancelledByPeer => {
            partial_or(Exit::NotAllowed)
        }
        TransferFailure::PeerSilent | TransferFailure::TimedOut | TransferFailure::ServerLost => {
            partial_or(Exit::Unreachable)
        }
        // The sender's trouble leaves the receiver what has arrived.
        TransferFailure::PeerStorage if transfer.direction == Direction::In => partial_or(Exit::Failed),
        TransferFailure::PeerStorage
        | TransferFailure::Read(_)
        | TransferFailure::Write(_)
        | TransferFailure::Protocol => Exit::Failed,
        TransferFailure::Integrity => Exit::Integrity,
        TransferFailure::KeyChanged => Exit::KeyChanged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::client::event::TransferState;
    use toom_core::id::OfferId;
    use toom_core::name::UserName;
    use toom_core::text::FileLabel;

    fn exit(failure: &TransferFailure, bytes: u64, direction: Direction) -> Exit {
        exit_of(failure, bytes, direction, false)
    }

    fn exit_of(failure: &TransferFailure, bytes: u64, direction: Direction, is_stream: bool) -> Exit {
        let transfer = Transfer {
            id: OfferId(1),
            peer: UserName::new("yoda").unwrap(),
            name: FileLabel::new("film"),
            direction,
            state: TransferState::Failed(failure.clone()),
            bytes,
            total: Some(9),
            rate_bps: 0,
            path: Default::default(),
        };
        of_transfer(failure, &transfer, is_stream)
    }

    #[test]
    fn only_what_has_begun_to_arrive_can_go_on() {
        for (failure, nothing, some) in [
            (TransferFailure::Rejected, Exit::NotAllowed, Exit::NotAllowed),
            (TransferFailure::PeerLeft, Exit::NotAllowed, Exit::Partial),
            (TransferFailure::CancelledByPeer, Exit::NotAllowed, Exit::Partial),
            (TransferFailure::PeerSilent, Exit::Unreachable, Exit::Partial),
            (TransferFailure::TimedOut, Exit::Unreachable, Exit::Partial),
            (TransferFailure::ServerLost, Exit::Unreachable, Exit::Partial),
            (TransferFailure::Integrity, Exit::Integrity, Exit::Integrity),
            (TransferFailure::Write("full".into()), Exit::Failed, Exit::Failed),
            (TransferFailure::KeyChanged, Exit::KeyChanged, Exit::KeyChanged),
        ] {
            for direction in [Direction::In, Direction::Out] {
                assert_eq!(exit(&failure, 0, direction), nothing, "{failure}");
                assert_eq!(exit(&failure, 5, direction), some, "{failure}");
            }
        }
        assert_eq!(exit(&TransferFailure::PeerStorage, 5, Direction::In), Exit::Partial);
        assert_eq!(exit(&TransferFailure::PeerStorage, 5, Direction::Out), Exit::Failed);
        assert_eq!(exit_of(&TransferFailure::PeerSilent, 5, Direction::In, true), Exit::Failed);
        assert_eq!(exit_of(&TransferFailure::CancelledByPeer, 0, Direction::In, true), Exit::Failed);
        assert_eq!(exit_of(&TransferFailure::Rejected, 0, Direction::Out, true), Exit::NotAllowed);
    }

    #[test]
    fn a_busy_server_is_not_a_refusal() {
        assert_eq!(of_login(LoginRefusal::Busy { retry_after_ms: 1 }), Exit::Unreachable);
        assert_eq!(of_login(LoginRefusal::AlreadyActive), Exit::Refused);
        assert_eq!(of_command(&Failure::Busy), Exit::Unreachable);
        assert_eq!(of_command(&Failure::NoSuchUser(vec!["x".into()])), Exit::NotAllowed);
    }
}
