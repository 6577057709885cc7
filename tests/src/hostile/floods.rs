//! What a user can do to others with messages: many, large, and more than somebody reads.

use std::io;
use std::time::Instant;

use toom_core::id::RequestId;
use toom_core::wire::codec;
use toom_core::wire::limits::{MAX_OUTBOX_BYTES, MAX_REQUESTS_IN_FLIGHT, MAX_TEXT_BYTES};
use toom_core::wire::message::{Refusal, ReplyBody, Request, RequestBody, ServerMessage};

use super::arena::Arena;
use super::report::Outcome;
use super::stranger::{Stranger, connect_with, loopback, read_to_end};

/// Posts that are under way: fewer than may be.
const WINDOW: u64 = 200;

/// Small posts and the largest, as fast as they are taken.
pub(super) fn posts(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    flood(arena, outcome, "x", arena.scaled(100_000) as u64)?;
    flood(arena, outcome, &"x".repeat(MAX_TEXT_BYTES), arena.scaled(6_000) as u64)?;
    outcome.note(format!("with {WINDOW} under way"));
    Ok(())
}

fn flood(arena: &Arena, outcome: &mut Outcome, text: &str, count: u64) -> io::Result<()> {
    let mut mallory = arena.session("mallory", loopback(61))?;
    let (mut asked, mut answered) = (0, 0);
    let begun = Instant::now();
    while answered < count {
        while asked < count && asked - answered < WINDOW {
            mallory.send(RequestBody::Broadcast { text: text.into() })?;
            asked += 1;
        }
        if let ServerMessage::Reply(reply) = mallory.next()? {
            answered += 1;
            let size = if text.len() == 1 { "of 1 byte" } else { "of 16 KiB" };
            match reply.body {
                ReplyBody::Sent { .. } => outcome.count(&format!("posts {size} taken")),
                ReplyBody::Refused(Refusal::RateLimited { .. }) => {
                    outcome.count(&format!("posts {size} over the rate"))
                }
                ReplyBody::Refused(Refusal::LimitReached(_)) => {
                    outcome.count(&format!("posts {size} the disk is busy"))
                }
                other => outcome.fault(format!("a post was answered with {other:?}")),
            }
        }
    }
    let bytes = text.len();
    outcome.note(format!("{count} posts of {bytes} bytes in {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// More requests without waiting than a connection may have.
pub(super) fn requests_in_flight(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    for _ in 0..arena.scaled(20) {
        let mut mallory = arena.session("mallory", loopback(62))?;
        let text = "y".repeat(1_000);
        let frames = (10..10 + 8 * MAX_REQUESTS_IN_FLIGHT as u64).flat_map(|number| {
            codec::encode(&Request { id: RequestId(number), body: RequestBody::Broadcast { text: text.clone() } })
                .to_vec()
        });
        let frames: Vec<u8> = frames.collect();
        // It may be closed before all is written.
        let _ = mallory.write(&frames);
        let _ = mallory.stream.shutdown(std::net::Shutdown::Write);
        let ended = read_to_end(&mallory.stream);
        outcome.must("the connection ends", ended);
        outcome.count("closed");
    }
    Ok(())
}

/// Somebody does not read what others broadcast.
pub(super) fn no_reader(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut mallory = arena.session("mallory", loopback(63))?;
    for name in ["sloth", "maul"] {
        let stream = connect_with(arena.server, loopback(64), Some(4_096))?;
        let mut deaf = Stranger::greet(stream, arena.key)?;
        let welcome = deaf.login(name, name)?;
        outcome.check(matches!(welcome, ReplyBody::Welcome { .. }), format!("{name} cannot log in: {welcome:?}"));
        let text = "z".repeat(MAX_TEXT_BYTES);
        // The buffers of the system come on top of the server's own, and are its business.
        let most = 10 * MAX_OUTBOX_BYTES / MAX_TEXT_BYTES;
        let mut posts = 0;
        while is_active(&mut mallory, name)? && posts < most {
            for _ in 0..10 {
                match mallory.ask(RequestBody::Broadcast { text: text.clone() })? {
                    ReplyBody::Sent { .. } => posts += 1,
                    other => outcome.fault(format!("a post was answered with {other:?}")),
                }
            }
        }
        outcome.check(posts < most, format!("{name} is still there after {posts} posts"));
        outcome.check(posts > MAX_OUTBOX_BYTES / MAX_TEXT_BYTES, format!("{name} was cut off after {posts} posts"));
        outcome.count("cut off");
        outcome.note(format!("after {} MiB", (posts * MAX_TEXT_BYTES) >> 20));
    }
    Ok(())
}

fn is_active(mallory: &mut Stranger, name: &str) -> io::Result<bool> {
    match mallory.ask(RequestBody::ActiveUsers)? {
        ReplyBody::ActiveUsers(users) => Ok(users.iter().any(|user| user.name.as_str() == name)),
        other => Err(io::Error::other(format!("who is active was answered with {other:?}"))),
    }
}
