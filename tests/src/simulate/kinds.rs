//! The kinds of what people, clients and the server say, so that a run can be asked which of them it covered.

use toom_core::client::event::{Event as ClientEvent, TransferFailure, TransferState};
use toom_core::server::fact::Fact;
use toom_core::server::io::CloseReason;
use toom_core::wire::message::{Event, LoginRefusal, OfferEnd, Refusal, ReplyBody, RequestBody};

/// A function that names the kind of a value, and the list of all names. It does not compile before a new kind
/// has a name.
macro_rules! kinds {
    ($(#[$doc:meta])* $function:ident($type:ty), $all:ident: { $($pattern:pat => $name:literal,)* }) => {
        $(#[$doc])*
        pub fn $function(value: &$type) -> &'static str {
            match value { $($pattern => $name,)* }
        }

        #[doc = concat!("All that [`", stringify!($function), "`] can say.")]
        pub const $all: &[&str] = &[$($name),*];
    };
}

kinds! {
    /// What a client asked.
    request(RequestBody), REQUESTS: {
        RequestBody::Login { .. } => "Login",
        RequestBody::Resume { .. } => "Resume",
        RequestBody::Missed => "Missed",
        RequestBody::Ping => "Ping",
        RequestBody::Logout => "Logout",
        RequestBody::Broadcast { .. } => "Broadcast",
        RequestBody::RoomMessage { .. } => "RoomMessage",
        RequestBody::DirectMessage { .. } => "DirectMessage",
        RequestBody::DirectReceived { .. } => "DirectReceived",
        RequestBody::ActiveUsers => "ActiveUsers",
        RequestBody::BuildRoom { .. } => "BuildRoom",
        RequestBody::Rooms => "Rooms",
        RequestBody::Invite { .. } => "Invite",
        RequestBody::Leave { .. } => "Leave",
        RequestBody::History { after: None, .. } => "History",
        RequestBody::History { after: Some(_), .. } => "History, a further page",
        RequestBody::Latest { .. } => "Latest",
        RequestBody::Find { .. } => "Find",
        RequestBody::Offer { .. } => "Offer",
        RequestBody::AnswerOffer { index: Some(_), .. } => "AnswerOffer, yes",
        RequestBody::AnswerOffer { index: None, .. } => "AnswerOffer, no",
        RequestBody::WithdrawOffer { .. } => "WithdrawOffer",
        RequestBody::CatchUp => "CatchUp",
        RequestBody::Devices { offering: true, .. } => "Devices, to offer",
        RequestBody::Devices { offering: false, .. } => "Devices, to verify",
    }
}

kinds! {
    /// What the server answered.
    reply(ReplyBody), REPLIES: {
        ReplyBody::Welcome { .. } => "Welcome",
        ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials) => "LoginFailed, invalid credentials",
        ReplyBody::LoginFailed(LoginRefusal::Blocked { .. }) => "LoginFailed, blocked",
        ReplyBody::LoginFailed(LoginRefusal::AlreadyActive) => "LoginFailed, already active",
        ReplyBody::LoginFailed(LoginRefusal::Busy { .. }) => "LoginFailed, busy",
        ReplyBody::LoginFailed(LoginRefusal::SessionOver) => "LoginFailed, session over",
        ReplyBody::Resumed { .. } => "Resumed",
        ReplyBody::Missed { .. } => "Missed",
        ReplyBody::Bye => "Bye",
        ReplyBody::Sent { .. } => "Sent",
        ReplyBody::Done => "Done",
        ReplyBody::ActiveUsers(_) => "ActiveUsers",
        ReplyBody::RoomCreated(_) => "RoomCreated",
        ReplyBody::RoomExists(_) => "RoomExists",
        ReplyBody::Rooms(_) => "Rooms",
        ReplyBody::Invited(_) => "Invited",
        ReplyBody::Left { .. } => "Left",
        ReplyBody::History { next: None, .. } => "History",
        ReplyBody::History { next: Some(_), .. } => "History, and more",
        ReplyBody::Found { .. } => "Found",
        ReplyBody::Offered { .. } => "Offered",
        ReplyBody::Refused(Refusal::NoSuchUser(_)) => "Refused, no such user",
        ReplyBody::Refused(Refusal::UserOffline(_)) => "Refused, user offline",
        ReplyBody::Refused(Refusal::NoSuchRoom) => "Refused, no such room",
        ReplyBody::Refused(Refusal::NotAMember) => "Refused, not a member",
        ReplyBody::Refused(Refusal::NobodyElse) => "Refused, nobody else",
        ReplyBody::Refused(Refusal::AlreadyAMember) => "Refused, already a member",
        ReplyBody::Refused(Refusal::Oneself) => "Refused, oneself",
        ReplyBody::Refused(Refusal::NoSuchOffer) => "Refused, no such offer",
        ReplyBody::Refused(Refusal::BadText) => "Refused, bad text",
        ReplyBody::Refused(Refusal::LimitReached(_)) => "Refused, limit reached",
        ReplyBody::Refused(Refusal::StorageFailed) => "Refused, storage failed",
        ReplyBody::Refused(Refusal::RateLimited { .. }) => "Refused, rate limited",
        ReplyBody::Refused(Refusal::OutOfOrder) => "Refused, out of order",
        ReplyBody::Refused(Refusal::DeviceChanged) => "Refused, device changed",
        ReplyBody::Refused(Refusal::SearchNotReady) => "Refused, search not ready",
        ReplyBody::Devices(_) => "Devices",
    }
}

kinds! {
    /// What the server told of others.
    event(Event), EVENTS: {
        Event::Broadcast { .. } => "Broadcast",
        Event::RoomMessage { .. } => "RoomMessage",
        Event::DirectMessage { .. } => "DirectMessage",
        Event::Granted { .. } => "Granted",
        Event::NewSince(_) => "NewSince",
        Event::Ping => "Ping",
        Event::Joined { .. } => "Joined",
        Event::Left { .. } => "Left",
        Event::RoomCreated(_) => "RoomCreated",
        Event::RoomChanged(_) => "RoomChanged",
        Event::Offer { .. } => "Offer",
        Event::OfferAccepted { .. } => "OfferAccepted",
        Event::OfferEnded { reason: OfferEnd::Rejected, .. } => "OfferEnded, rejected",
        Event::OfferEnded { reason: OfferEnd::Withdrawn, .. } => "OfferEnded, withdrawn",
        Event::OfferEnded { reason: OfferEnd::UserLeft, .. } => "OfferEnded, user left",
        Event::OfferEnded { reason: OfferEnd::Expired, .. } => "OfferEnded, expired",
    }
}

kinds! {
    /// Why the server closed a connection.
    close(CloseReason), CLOSES: {
        CloseReason::LoggedOut => "logged out",
        CloseReason::LoginTimedOut => "login timed out",
        CloseReason::NotLoggedIn => "not logged in",
        CloseReason::Superseded => "superseded",
        CloseReason::TooManyRequests => "too many requests",
        CloseReason::LimitBroken => "limit broken",
        CloseReason::TooManyConnections => "too many connections",
        CloseReason::TooManyStrangers => "too many strangers",
        CloseReason::TooManyStrangersFromAddress => "too many strangers from an address",
        CloseReason::AccountRemoved => "account removed",
    }
}

kinds! {
    /// What became durable.
    fact(Fact), FACTS: {
        Fact::AccountAdded { .. } => "AccountAdded",
        Fact::PasswordChanged { .. } => "PasswordChanged",
        Fact::AccountRemoved { .. } => "AccountRemoved",
        Fact::Blocked { .. } => "Blocked",
        Fact::Broadcast { .. } => "Broadcast",
        Fact::RoomBuilt { .. } => "RoomBuilt",
        Fact::RoomJoined { .. } => "RoomJoined",
        Fact::RoomLeft { .. } => "RoomLeft",
        Fact::RoomMessage { .. } => "RoomMessage",
        Fact::DirectMessage { .. } => "DirectMessage",
        Fact::DirectReceived { .. } => "DirectReceived",
        Fact::DeviceAdded { .. } => "DeviceAdded",
        Fact::SessionStarted { .. } => "SessionStarted",
        Fact::SessionEnded { .. } => "SessionEnded",
        Fact::OffersNumbered { .. } => "OffersNumbered",
    }
}

kinds! {
    /// What a person was told.
    client_event(ClientEvent), CLIENT_EVENTS: {
        ClientEvent::Welcome { .. } => "Welcome",
        ClientEvent::LoginFailed(_) => "LoginFailed",
        ClientEvent::Broadcast { .. } => "Broadcast",
        ClientEvent::RoomMessage { .. } => "RoomMessage",
        ClientEvent::DirectMessage { .. } => "DirectMessage",
        ClientEvent::Sent { .. } => "Sent",
        ClientEvent::ActiveUsers(_) => "ActiveUsers",
        ClientEvent::Joined { .. } => "Joined",
        ClientEvent::Left { .. } => "Left",
        ClientEvent::RoomCreated(_) => "RoomCreated",
        ClientEvent::RoomExists(_) => "RoomExists",
        ClientEvent::RoomChanged(_) => "RoomChanged",
        ClientEvent::LeftRoom { .. } => "LeftRoom",
        ClientEvent::Rooms(_) => "Rooms",
        ClientEvent::History { .. } => "History",
        ClientEvent::Latest { .. } => "Latest",
        ClientEvent::NewSince(_) => "NewSince",
        ClientEvent::Found { .. } => "Found",
        ClientEvent::Offer { .. } => "Offer",
        ClientEvent::Transfer(_) => "Transfer",
        ClientEvent::Transfers(_) => "Transfers",
        ClientEvent::OfferAnswered { .. } => "OfferAnswered",
        ClientEvent::SafetyNumber { verified: false, .. } => "SafetyNumber",
        ClientEvent::SafetyNumber { verified: true, .. } => "SafetyNumber, verified",
        ClientEvent::PeerKeyChanged { verified: false, .. } => "PeerKeyChanged",
        ClientEvent::PeerKeyChanged { verified: true, .. } => "PeerKeyChanged, verified",
        ClientEvent::NotRemembered { .. } => "NotRemembered",
        ClientEvent::Error(_) => "Error",
        ClientEvent::Bye { .. } => "Bye",
        ClientEvent::Reconnecting { .. } => "Reconnecting",
        ClientEvent::Resumed { .. } => "Resumed",
        ClientEvent::ConnectionLost { was_logged_in: true, .. } => "ConnectionLost",
        ClientEvent::ConnectionLost { was_logged_in: false, .. } => "ConnectionLost, before the login",
    }
}

kinds! {
    /// What became of a transfer.
    transfer(TransferState), TRANSFERS: {
        TransferState::Starting => "Starting",
        TransferState::Resumed { .. } => "Resumed transfer",
        TransferState::Moving => "Moving",
        TransferState::Waiting(_) => "Waiting",
        TransferState::Paused { .. } => "Paused",
        TransferState::Done { .. } => "Done",
        TransferState::Failed(TransferFailure::Rejected) => "Failed, rejected",
        TransferState::Failed(TransferFailure::Expired) => "Failed, expired",
        TransferState::Failed(TransferFailure::Withdrawn) => "Failed, withdrawn",
        TransferState::Failed(TransferFailure::PeerLeft) => "Failed, peer left",
        TransferState::Failed(TransferFailure::Cancelled) => "Failed, cancelled",
        TransferState::Failed(TransferFailure::CancelledByPeer) => "Failed, cancelled by peer",
        TransferState::Failed(TransferFailure::TimedOut) => "Failed, timed out",
        TransferState::Failed(TransferFailure::PeerSilent) => "Failed, peer silent",
        TransferState::Failed(TransferFailure::Integrity) => "Failed, integrity",
        TransferState::Failed(TransferFailure::Read(_)) => "Failed, read",
        TransferState::Failed(TransferFailure::Write(_)) => "Failed, write",
        TransferState::Failed(TransferFailure::PeerStorage) => "Failed, peer storage",
        TransferState::Failed(TransferFailure::Protocol) => "Failed, protocol",
        TransferState::Failed(TransferFailure::KeyChanged) => "Failed, key changed",
        TransferState::Failed(TransferFailure::ServerLost) => "Failed, server lost",
    }
}
