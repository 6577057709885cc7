//! Every limit on what a peer can make us hold or do, with its reason.

use core::time::Duration;

/// A user's name. Room for a name of sixteen four-byte characters, and for file names made of it.
pub const MAX_NAME_BYTES: usize = 64;
/// A password. Longer ones would only make the hash slow.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// The text of one message: four screens of it.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// One frame over TCP, without its length. The largest are a page of history and a list of users.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;
/// How deep MessagePack may nest: our deepest message has seven levels.
pub const MAX_FRAME_DEPTH: usize = 16;
/// What a page of history may hold in text, so that it fits a frame with its overhead.
pub const MAX_PAGE_BYTES: usize = 128 * 1024;
/// What a page of history may hold in messages: overhead is under 128 bytes each.
pub const MAX_PAGE_MESSAGES: usize = 512;
/// What somebody searches for: more than anybody types.
pub const MAX_SEARCH_BYTES: usize = 1_024;
/// Words of one search. Each is looked up on its own.
pub const MAX_SEARCH_WORDS: usize = 32;
/// Messages on one page of a search: as many as a person looks through. Each is looked up on its own.
pub const MAX_FOUND_MESSAGES: usize = 128;
/// Searches of one user that have not been answered. They are done one after the other, and others wait behind them.
pub const MAX_SEARCHES_PER_USER: usize = 4;
/// A search costs the store about as much as so many other requests, and takes as much of [`REQUEST_RATE`].
pub const SEARCH_COST: u64 = 20;
/// Users in one list of a request or reply (64 bytes of name and 60 of address each fit a frame).
pub const MAX_LISTED_USERS: usize = 1_024;
/// Members of a room.
pub const MAX_ROOM_MEMBERS: usize = 256;
/// Rooms in which one user can be at the same time.
pub const MAX_ROOMS_PER_USER: usize = 1_024;
/// Rooms of one server, so that a member cannot fill its memory.
pub const MAX_ROOMS: usize = 1_000_000;
/// Accounts of one server.
pub const MAX_ACCOUNTS: usize = 1_000_000;
/// Requests of one connection that have not been answered; the client keeps to it, more is a violation.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 256;
/// Connections of one server, logged in or not.
pub const MAX_CONNECTIONS: usize = 10_000;
/// Strangers: connections that have not sent a login, their handshake included. Over it the oldest is closed: who
/// belongs here logs in within a second, and who only holds a place is the oldest before long.
pub const MAX_STRANGERS: usize = 1_024;
/// Strangers of one network, so that no single computer can push out all others.
pub const MAX_STRANGERS_PER_ADDRESS: usize = 512;
/// Password checks that may be under way or waiting. More logins at once are answered with `busy`.
pub const MAX_PASSWORD_CHECKS: usize = 1_024;
/// Password checks of one network, so that no single computer can have all others wait or be told `busy`.
pub const MAX_PASSWORD_CHECKS_PER_ADDRESS: usize = 512;
/// Names without an account whose failed logins are remembered, so that guessing names costs no memory: some
/// 4 MiB. Who wants a name forgotten, to see whether it has an account, has to fail for as many others first,
/// which keeps the password checks of a server busy for minutes, and takes many addresses.
pub const MAX_UNKNOWN_NAMES: usize = 16_384;
/// Names that may fail to log in from one network within [`FAILED_NAMES_WINDOW`]; with more of them it is refused.
/// An office behind one address has fewer people who mistype at the same time.
pub const MAX_FAILED_NAMES_PER_ADDRESS: usize = 100;
/// How long a name that failed counts against its network.
pub const FAILED_NAMES_WINDOW: Duration = Duration::from_secs(60);
/// Networks whose failed names are remembered: some 16 MiB with the longest names.
pub const MAX_FAILING_NETWORKS: usize = 1_024;
/// Offers of one user that have not been answered.
pub const MAX_OFFERS_PER_USER: usize = 64;
/// Devices of one account that are remembered; the oldest is forgotten first. More than anybody carries about.
pub const MAX_DEVICES_PER_USER: usize = 32;
/// Sessions that have lost their connection and wait to be resumed. With more of them a session ends with its connection;
/// it can still be resumed.
pub const MAX_LOST_SESSIONS: usize = MAX_CONNECTIONS;
/// An offer, sealed. Ours have 304, whatever they are about; a later version may say more.
pub const MAX_SEALED_OFFER_BYTES: usize = 1_024;
/// Bytes waiting to be written to one connection; a reader that is slower is disconnected.
pub const MAX_OUTBOX_BYTES: usize = 4 * 1024 * 1024;

/// How long a connection may take to log in, once its handshake is done.
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(120);
/// How long the handshake may take, preamble included.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long the rest of a frame may take, once its first byte is there.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(30);
/// How long after its login a session can be resumed. A secret that was stolen from a device is worth nothing then.
pub const RESUME_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a session whose connection was lost stays active.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);
/// How long an offer waits for its answer.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(600);

/// The default of `--post-rate`: posts of one user a second, and at once. Twenty times as much as the fastest script
/// that people have a use for.
pub const DEFAULT_POST_RATE: u32 = 20_000;
/// The default of `--post-bytes-rate`: bytes of text of one user a second.
pub const DEFAULT_POST_BYTES_RATE: u64 = 16 * 1024 * 1024;
/// So many seconds' worth of bytes may be posted at once.
pub const POST_BYTES_BURST_SECONDS: u64 = 4;
/// Requests of one user a second that are no posts and that a person asked for. No person types as fast.
pub const REQUEST_RATE: u64 = 2_000;
/// So many of them may come at once.
pub const REQUEST_BURST: u64 = 4_000;
/// Requests of one user a second that a client sends by itself: receipts, answers to offers, next pages. As many as
/// others may post.
pub const AUTOMATIC_REQUEST_RATE: u64 = 20_000;
/// So many of them may come at once.
pub const AUTOMATIC_REQUEST_BURST: u64 = 40_000;

/// How many consecutive failed logins block a user.
pub const ATTEMPTS: core::ops::RangeInclusive<u32> = 1..=5;
/// The default of `--attempts`.
pub const DEFAULT_ATTEMPTS: u32 = 3;
/// The default of `--block`.
pub const DEFAULT_BLOCK: Duration = Duration::from_secs(10);
