//! Guesses: for one name, for many names, and many at once.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use toom_core::id::RequestId;
use toom_core::wire::codec;
use toom_core::wire::limits::{DEFAULT_BLOCK, FAILED_NAMES_WINDOW, MAX_FAILED_NAMES_PER_ADDRESS};
use toom_core::wire::message::{LoginRefusal, Refusal, ReplyBody, Request, RequestBody, ServerMessage};

use super::arena::{Arena, eventually, on_threads};
use super::report::Outcome;
use super::stranger::{Stranger, login, loopback};

/// Logins that are written at once while they are refused unchecked. A connection may have one checked at a time.
const BATCH: u64 = 50;
/// Who guesses at the same time.
const GUESSERS: usize = 4;
/// What a clock may be off by between an answer and its arrival.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Guesses the password of somebody who is logged in, from four addresses.
pub(super) fn one_name(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut rey = arena.session("rey", loopback(1))?;
    let each = arena.options.logins / GUESSERS as u64;
    let (newcomers, guessing) = (AtomicU64::new(0), AtomicU64::new(GUESSERS as u64));
    on_threads(GUESSERS + 1, outcome, |number, outcome| {
        if number == GUESSERS {
            // Others log in meanwhile.
            while guessing.load(Relaxed) > 0 {
                let newcomer = arena.newcomer(loopback(1));
                newcomers.fetch_add(u64::from(outcome.must("a newcomer meanwhile", newcomer).is_some()), Relaxed);
            }
            return Ok(());
        }
        let from = loopback(41 + u8::try_from(number).unwrap_or(0));
        let mut block = Block::default();
        let result = arena.stranger(from).and_then(|it| guess(it, each, |_| "rey".into(), outcome, &mut block));
        guessing.fetch_sub(1, Relaxed);
        result
    });
    outcome.add("newcomers meanwhile", newcomers.into_inner());
    let (blocked, wrong) = (outcome.counted("blocked"), outcome.counted("wrong password"));
    outcome.check(blocked > wrong, format!("{blocked} guesses were blocked, and {wrong} were checked"));
    let still = rey.ask(RequestBody::ActiveUsers);
    outcome.must("the session of the victim goes on", still);
    let bye = rey.ask(RequestBody::Logout);
    outcome.must("the victim logs out", bye);
    let begun = Instant::now();
    let again = eventually(|| {
        let answer = arena.stranger(loopback(1)).and_then(|mut victim| victim.login("rey", "rey"));
        matches!(answer, Ok(ReplyBody::Welcome { .. }))
    });
    let took = begun.elapsed();
    outcome.check(again, "the victim cannot log in after the attack");
    outcome.check(took <= DEFAULT_BLOCK + TOLERANCE, format!("the victim was kept out for {took:?} after the attack"));
    outcome.note(format!("the victim logged in {:.1} s after the last guess", took.as_secs_f64()));
    Ok(())
}

/// Guesses with a new name each time, from one address: the names are not blocked, but the address is.
pub(super) fn many_names(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let from = loopback(51);
    let each = arena.options.logins / GUESSERS as u64;
    let begun = Instant::now();
    on_threads(GUESSERS, outcome, |number, outcome| {
        let name = |guess| format!("name-{number}-{guess}");
        guess(arena.stranger(from)?, each, name, outcome, &mut Block::default())
    });
    let checked = outcome.counted("wrong password");
    // Those that were under way when the limit was met were checked, too; and names are forgotten with time.
    let windows = 1 + begun.elapsed().as_secs() / FAILED_NAMES_WINDOW.as_secs();
    let most = windows * (MAX_FAILED_NAMES_PER_ADDRESS + GUESSERS) as u64;
    outcome.check(checked <= most, format!("{checked} names were checked, not {most}"));
    match arena.stranger(from)?.login("leia", "leia")? {
        ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms }) => {
            outcome.note(format!("a user behind the same address: busy, for {:.0} s", retry_after_ms as f64 / 1e3));
        }
        other => outcome.fault(format!("the address that failed for many names is told {other:?}")),
    }
    let elsewhere = arena.newcomer(loopback(2));
    if let Some(took) = outcome.must("a newcomer from another address", elsewhere) {
        outcome.note(format!("from another: logged in within {} ms", took.as_millis()));
    }
    Ok(())
}

/// As many logins at once as there may be, from many addresses, each of another name that has to be checked.
pub(super) fn all_at_once(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let count = arena.scaled(1_500);
    let mut strangers = Vec::with_capacity(count);
    for number in 0..count {
        let from = Ipv4Addr::new(127, 0, 1, 1 + u8::try_from(number / 90).unwrap_or(0));
        let mut stranger = arena.stranger(from.into())?;
        stranger.send(login(&format!("unknown-{number}"), "wrong"))?;
        strangers.push(stranger);
    }
    let begun = Instant::now();
    let (mut busy, mut welcome) = (0, false);
    let done = eventually(|| {
        let answer = arena.stranger(loopback(1)).and_then(|mut newcomer| newcomer.login("leia", "leia"));
        busy += u64::from(matches!(answer, Ok(ReplyBody::LoginFailed(LoginRefusal::Busy { .. }))));
        welcome = matches!(answer, Ok(ReplyBody::Welcome { .. }));
        welcome
    });
    outcome.check(done, "a newcomer cannot log in meanwhile");
    outcome.note(format!("a newcomer waited {:.1} s, busy {busy} times", begun.elapsed().as_secs_f64()));
    for mut stranger in strangers {
        match stranger.next() {
            Ok(ServerMessage::Reply(reply)) => outcome.count(&word(&reply.body)),
            Ok(_) => outcome.fault("an event for a stranger"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => outcome.count("closed"),
            Err(error) => outcome.fault(format!("no answer: {error}")),
        }
    }
    Ok(())
}

/// When the block at hand ends, as the answers say.
#[derive(Default)]
struct Block {
    until: Option<Instant>,
    blocks: u64,
}

impl Block {
    /// An answer that said so.
    fn said(&mut self, retry_after_ms: u64, outcome: &mut Outcome) {
        let now = Instant::now();
        let until = now + Duration::from_millis(retry_after_ms);
        outcome
            .check(Duration::from_millis(retry_after_ms) <= DEFAULT_BLOCK, format!("a block of {retry_after_ms} ms"));
        match self.until {
            // The clock at hand was read after the answer came, so that it may seem to last a little longer.
            Some(known) if now + TOLERANCE < known => {
                outcome.check(until <= known + TOLERANCE, "an attempt during a block has extended it");
            }
            Some(known) if until <= known + TOLERANCE => {}
            _ => {
                self.until = Some(until);
                self.blocks += 1;
            }
        }
    }
}

/// Tries `count` logins on one connection.
fn guess(
    mut stranger: Stranger,
    count: u64,
    name: impl Fn(u64) -> String,
    outcome: &mut Outcome,
    block: &mut Block,
) -> io::Result<()> {
    let (mut tried, mut batch) = (0, 1);
    while tried < count {
        batch = BATCH.min(count - tried).min(batch);
        let frames = (tried..tried + batch).flat_map(|number| {
            codec::encode(&Request { id: RequestId(number), body: login(&name(number), "a guess") }).to_vec()
        });
        let frames: Vec<u8> = frames.collect();
        stranger.write(&frames)?;
        let mut checked = false;
        for _ in 0..batch {
            let ServerMessage::Reply(reply) = stranger.next()? else { continue };
            checked |= matches!(reply.body, ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials));
            if let ReplyBody::LoginFailed(LoginRefusal::Blocked { retry_after_ms }) = reply.body {
                block.said(retry_after_ms, outcome);
            }
            outcome.count(&word(&reply.body));
        }
        tried += batch;
        batch = if checked { 1 } else { BATCH };
    }
    outcome.add("blocks seen by a guesser", block.blocks);
    Ok(())
}

fn word(reply: &ReplyBody) -> String {
    match reply {
        ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials) => "wrong password".into(),
        ReplyBody::LoginFailed(LoginRefusal::Blocked { .. }) => "blocked".into(),
        ReplyBody::LoginFailed(LoginRefusal::Busy { .. }) => "busy".into(),
        ReplyBody::LoginFailed(LoginRefusal::AlreadyActive) => "already active".into(),
        ReplyBody::Refused(Refusal::OutOfOrder) => "refused, one is being checked".into(),
        other => format!("{other:?}"),
    }
}
