//! Why something failed: a code for scripts and a sentence for people.

use toom_core::client::event::{Failure, TransferFailure};
use toom_core::text::printable;
use toom_core::wire::limits::MAX_TEXT_BYTES;
use toom_core::wire::message::LoginRefusal;

use super::parse::ParseError;

/// The `code` of an `error` for a line that is no command.
pub(crate) fn parse_code(error: &ParseError) -> &'static str {
    match error {
        ParseError::UnknownCommand => "unknown_command",
        ParseError::Usage(_) => "usage",
    }
}

/// The `code` of an `error`.
pub(crate) fn code(failure: &Failure) -> &'static str {
    match failure {
        Failure::NoSuchUser(_) => "no_such_user",
        Failure::UserOffline(_) => "user_offline",
        Failure::NoSuchRoom => "no_such_room",
        Failure::NotAMember => "not_a_member",
        Failure::NobodyElse => "nobody_else",
        Failure::AlreadyAMember => "already_a_member",
        Failure::Oneself => "oneself",
        Failure::NoSuchOffer => "no_such_offer",
        Failure::BadText => "bad_text",
        Failure::NoWords => "no_words",
        Failure::LimitReached(_) => "limit_reached",
        Failure::StorageFailed => "storage_failed",
        Failure::RateLimited { .. } => "rate_limited",
        Failure::NoSuchFile(_) => "no_such_file",
        Failure::UnreadableFile(_) => "unreadable_file",
        Failure::NoStream(_) => "not_a_stream",
        Failure::PeerKeyChanged { .. } => "peer_key_changed",
        Failure::DeviceChanged => "device_changed",
        Failure::SearchNotReady => "search_not_ready",
        Failure::NoDevices(_) => "no_devices",
        Failure::OwnKeyMissing => "own_key_missing",
        Failure::SafetyNumberChanged(_) => "safety_number_changed",
        Failure::Busy => "busy",
        Failure::NotLoggedIn => "not_logged_in",
        Failure::ConnectionLost => "connection_lost",
    }
}

/// One sentence, safe to show in a terminal.
pub(crate) fn sentence(failure: &Failure) -> String {
    match failure {
        Failure::NoSuchUser(users) => match &users[..] {
            [user] => format!("The user {} does not exist", printable(user)),
            users => format!("These users do not exist: {}", list(users.iter())),
        },
        Failure::UserOffline(users) => match &users[..] {
            [user] => format!("The user {user} is offline"),
            users => format!("These users are offline: {}", list(users.iter())),
        },
        Failure::NoSuchRoom => "The separate room does not exist".into(),
        Failure::NotAMember => "You are not in this separate room chat".into(),
        Failure::NobodyElse => "A separate room needs at least one other user".into(),
        Failure::AlreadyAMember => "The user is in this separate room already".into(),
        Failure::Oneself => "This cannot be done with yourself".into(),
        Failure::NoSuchOffer => "There is no such offer or transfer, or it has ended".into(),
        Failure::NoWords => "There is nothing to search for; a search has at least one letter or digit".into(),
        Failure::BadText => format!("A message must have between 1 and {MAX_TEXT_BYTES} bytes of text"),
        Failure::LimitReached(limit) => format!("A limit is reached: {}", printable(limit)),
        Failure::StorageFailed => "The server cannot write to its disk, so nothing that must last is accepted".into(),
        Failure::RateLimited { retry_after_ms } => {
            format!("You are sending more than this server allows; try again in {}", seconds(*retry_after_ms))
        }
        Failure::NoSuchFile(file) => format!("The file does not exist: {}", printable(file)),
        Failure::NoStream(name) => format!(
            "{} is a folder or several files, which cannot go to standard output; save it into a folder",
            printable(name.as_str())
        ),
        Failure::UnreadableFile(reason) => format!("The file cannot be read: {}", printable(reason)),
        Failure::PeerKeyChanged { user, key } => format!(
            "THE KEY OF {user} HAS CHANGED, so the file was not sent: {key} is none of those that you verified. Somebody \
             may be posing as {user}. If they have a new device, compare what VERIFY {user} shows with them, and say \
             VERIFY {user} yes"
        ),
        Failure::DeviceChanged => "That person is changing devices; try again".into(),
        Failure::SearchNotReady => {
            "The server's search index is being built, or cannot be read; try again later".into()
        }
        Failure::NoDevices(user) => {
            format!("{user} has never logged in from any device, so there is nothing to compare")
        }
        Failure::OwnKeyMissing => {
            "THE SERVER HIDES THE KEY OF THIS DEVICE FROM OTHERS. Somebody may be posing as you, so \
                                   there is no safety number; tell whoever runs the server"
                .into()
        }
        Failure::SafetyNumberChanged(user) => format!(
            "The safety number of you and {user} is not the one that was shown, so nobody was verified; compare what \
             VERIFY {user} shows now"
        ),
        Failure::Busy => "Too many commands are waiting for their answers; try again soon".into(),
        Failure::NotLoggedIn => "You are not logged in".into(),
        Failure::ConnectionLost => {
            "The connection to the server was lost before the answer came; what was sent may have arrived or not".into()
        }
    }
}

/// The `reason` of a `login_failed`.
pub(crate) fn login_code(refusal: LoginRefusal) -> &'static str {
    match refusal {
        LoginRefusal::InvalidCredentials => "invalid_credentials",
        LoginRefusal::Blocked { .. } => "blocked",
        LoginRefusal::AlreadyActive => "already_active",
        LoginRefusal::Busy { .. } => "busy",
        LoginRefusal::SessionOver => "session_over",
    }
}

/// One sentence about a login that failed.
pub(crate) fn login_sentence(refusal: LoginRefusal) -> String {
    match refusal {
        LoginRefusal::InvalidCredentials => "Invalid username or password. Please try again".into(),
        LoginRefusal::Blocked { retry_after_ms } => format!(
            "Your account is blocked due to multiple login failures. Please try again in {}",
            seconds(retry_after_ms)
        ),
        LoginRefusal::AlreadyActive => "This user is logged in already".into(),
        LoginRefusal::SessionOver => "The session is over. Please log in again".into(),
        LoginRefusal::Busy { retry_after_ms } => {
            format!("The server has too much to do. Please try again in {}", seconds(retry_after_ms))
        }
    }
}

/// The `reason` of a `transfer` that failed.
pub(crate) fn transfer_code(failure: &TransferFailure) -> &'static str {
    match failure {
        TransferFailure::Rejected => "rejected",
        TransferFailure::Expired => "expired",
        TransferFailure::Withdrawn => "withdrawn",
        TransferFailure::PeerLeft => "peer_left",
        TransferFailure::Cancelled => "cancelled",
        TransferFailure::CancelledByPeer => "cancelled_by_peer",
        TransferFailure::TimedOut => "timed_out",
        TransferFailure::PeerSilent => "peer_silent",
        TransferFailure::Integrity => "integrity",
        TransferFailure::Read(_) => "read_failed",
        TransferFailure::Write(_) => "write_failed",
        TransferFailure::PeerStorage => "peer_storage",
        TransferFailure::Protocol => "protocol",
        TransferFailure::KeyChanged => "peer_key_changed",
        TransferFailure::ServerLost => "server_lost",
    }
}

/// `a, b, c`, safe to show in a terminal.
pub(crate) fn list<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| printable(&item.to_string()).into_owned()).collect();
    items.join(", ")
}

/// Whole seconds, rounded up, so that nobody tries too early.
fn seconds(millis: u64) -> String {
    match millis.div_ceil(1000) {
        0 | 1 => "1 second".into(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::name::UserName;
    use toom_core::secure::PublicKey;
    use toom_core::text::FileLabel;

    fn all() -> Vec<Failure> {
        let user = UserName::new("yoda").unwrap();
        vec![
            Failure::NoSuchUser(vec!["a\u{1b}[31m".into(), "b".into()]),
            Failure::UserOffline(vec![user.clone(), user.clone()]),
            Failure::NoSuchRoom,
            Failure::NotAMember,
            Failure::NobodyElse,
            Failure::AlreadyAMember,
            Failure::Oneself,
            Failure::NoSuchOffer,
            Failure::BadText,
            Failure::NoWords,
            Failure::LimitReached("at most\n10".into()),
            Failure::StorageFailed,
            Failure::RateLimited { retry_after_ms: 1 },
            Failure::NoSuchFile("\u{7}x".into()),
            Failure::UnreadableFile("permission\u{7} denied".into()),
            Failure::NoStream(FileLabel::new("photos\u{7}")),
            Failure::PeerKeyChanged { user: user.clone(), key: PublicKey([1; 32]) },
            Failure::DeviceChanged,
            Failure::SearchNotReady,
            Failure::NoDevices(user.clone()),
            Failure::OwnKeyMissing,
            Failure::SafetyNumberChanged(user.clone()),
            Failure::Busy,
            Failure::NotLoggedIn,
            Failure::ConnectionLost,
        ]
    }

    #[test]
    fn codes_are_distinct_and_sentences_are_harmless() {
        let mut codes: Vec<_> = all().iter().map(code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all().len());
        for failure in all() {
            let sentence = sentence(&failure);
            assert!(!sentence.contains(toom_core::text::is_unprintable), "{sentence:?}");
        }
    }

    #[test]
    fn the_assignment_s_words_are_kept() {
        assert_eq!(sentence(&Failure::NoSuchRoom), "The separate room does not exist");
        assert_eq!(sentence(&Failure::NotAMember), "You are not in this separate room chat");
    }

    #[test]
    fn every_user_that_fails_is_named() {
        assert_eq!(sentence(&Failure::NoSuchUser(vec!["a".into()])), "The user a does not exist");
        assert_eq!(sentence(&Failure::NoSuchUser(vec!["a".into(), "b".into()])), "These users do not exist: a, b");
    }

    #[test]
    fn waiting_times_are_rounded_up() {
        let sentence = login_sentence(LoginRefusal::Blocked { retry_after_ms: 9_001 });
        assert!(sentence.ends_with("in 10 seconds"), "{sentence}");
        assert!(login_sentence(LoginRefusal::Busy { retry_after_ms: 1 }).ends_with("in 1 second"));
    }
}
