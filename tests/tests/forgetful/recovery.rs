//! What must hold when a store is opened after a crash.

use std::fmt;
use std::sync::mpsc::{Receiver, channel};

use toom_core::id::{LogIndex, MessageNumber, QueryId, Ticket};
use toom_core::name::UserName;
use toom_core::server::fact::{Committed, Fact, Message};
use toom_core::server::io::{Page, Query, Select};
use toom_core::server::search::Search;
use toom_store::log::{Completion, Log, LogHandle};
use toom_tests::sim::dice::Dice;

use crate::disk::Image;
use crate::life::{GROUP, Numbers, PATIENCE, author, everything, fact};
use crate::mount::Mount;

/// What was broken.
#[derive(Debug)]
pub(crate) enum Breach {
    /// The log could not be read.
    Damaged(String),
    /// A fact that was said to be committed is not there.
    Lost { told: usize, found: usize },
    /// Something is there that should not be.
    Wrong(String),
}

/// What was found after a crash.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) facts: Vec<Fact>,
}

/// Opens the store on what a crash left: everything that was told is there, once and in its place; what is there
/// beyond was proposed, in that order and in whole transactions; the index of messages agrees with the log; and work
/// goes on.
pub(crate) fn check(image: &Image, told: &[Fact], dice: &mut Dice) -> Result<Recovered, Breach> {
    let mount = Mount::holding(image);
    if dice.chance(0.5) {
        // Shared memory is a file by accident: after a crash it holds anything.
        let mut rubbish = vec![0; 32 * 1024];
        dice.fill(&mut rubbish);
        std::fs::write(mount.path().join("toom.db-shm"), rubbish).expect("written");
    }
    let found = replay(&mount)?;
    let facts: Vec<_> = found.iter().map(|committed| committed.fact.clone()).collect();
    compare(&facts, told)?;
    let later = [fact("yoda", u64::MAX, false, dice), fact("luke", u64::MAX, false, dice)];
    continue_with(&mount, &found, &later)?;
    let again: Vec<_> = replay(&mount)?.into_iter().map(|committed| committed.fact).collect();
    if again != [&facts[..], &later].concat() {
        return Err(Breach::Wrong(format!("{} facts became {}", facts.len() + 2, again.len())));
    }
    Ok(Recovered { facts })
}

/// Reads the whole log.
fn replay(mount: &Mount) -> Result<Vec<Committed>, Breach> {
    let damaged = |error: toom_store::log::OpenError| Breach::Damaged(error.to_string());
    let mut log = Log::open(mount.path()).map_err(damaged)?;
    let recorded = log.recorded();
    let mut found = Vec::new();
    log.replay(|committed| found.push(committed)).map_err(damaged)?;
    let last = LogIndex(found.len() as u64);
    if found.last().is_some_and(|committed| committed.index != last) {
        return Err(Breach::Wrong("an index was left out".into()));
    }
    if recorded > last {
        return Err(Breach::Wrong(format!("messages are indexed up to fact {recorded}, and facts end at {last}")));
    }
    Ok(found)
}

fn compare(facts: &[Fact], told: &[Fact]) -> Result<(), Breach> {
    if facts.len() < told.len() {
        return Err(Breach::Lost { told: told.len(), found: facts.len() });
    }
    if let Some(index) = (0..told.len()).find(|index| facts[*index] != told[*index]) {
        return Err(Breach::Wrong(format!("fact {} differs from what was told", index + 1)));
    }
    for name in ["yoda", "luke"] {
        let numbers: Vec<_> =
            facts.iter().map(author).filter(|(who, _)| *who == name).map(|(_, number)| number).collect();
        if !numbers.is_sorted_by(|a, b| a < b) {
            return Err(Breach::Wrong(format!("facts of {name} are out of order or there twice: {numbers:?}")));
        }
        if name == "luke" && numbers.len() % GROUP != 0 {
            return Err(Breach::Wrong(format!("a transaction is there in part: {numbers:?}")));
        }
    }
    Ok(())
}

/// Starts as a server does, reads everything, and commits some more.
fn continue_with(mount: &Mount, found: &[Committed], later: &[Fact]) -> Result<(), Breach> {
    let mut log = Log::open(mount.path()).map_err(|error| Breach::Damaged(error.to_string()))?;
    log.replay(|_| {}).map_err(|error| Breach::Damaged(error.to_string()))?;
    let (say, heard) = channel();
    let handle = log.start(move |completion| say.send(completion).unwrap_or_default());
    let mut numbers = Numbers::default();
    let mut expected: Vec<_> = found.iter().filter_map(|committed| numbers.message(committed)).collect();
    expected.iter().for_each(|message| handle.record(message));
    expected.sort_by(|a, b| (&a.conversation, a.number).cmp(&(&b.conversation, b.number)));
    let messages = read_all(&handle, &heard)?;
    if messages != expected {
        return Err(Breach::Wrong(format!("{} messages were read, {} are in the log", messages.len(), expected.len())));
    }
    search(&handle, &heard, &expected)?;
    for (place, fact) in later.iter().enumerate() {
        handle.propose(Ticket(place as u64), fact.clone());
        let expected = LogIndex((found.len() + place + 1) as u64);
        match heard.recv_timeout(PATIENCE).expect("the store says something") {
            Completion::Committed(committed) if committed.index == expected && committed.fact == *fact => {}
            other => return Err(Breach::Wrong(format!("{other:?} in the place of fact {expected}"))),
        }
    }
    handle.stop();
    Ok(())
}

/// Reads all conversations, page by page.
fn read_all(handle: &LogHandle, heard: &Receiver<Completion>) -> Result<Vec<Message>, Breach> {
    let mut messages = Vec::new();
    for span in everything(1).spans {
        let mut first = span.first;
        loop {
            let select = Select { spans: vec![toom_core::server::io::Span { first, ..span.clone() }], ..everything(1) };
            let page = read(handle, heard, select)?;
            let Some(last) = page.messages.last() else { break };
            first = MessageNumber(last.number.0 + 1);
            messages.extend(page.messages);
            if !page.more {
                break;
            }
        }
    }
    Ok(messages)
}

/// Searches for some of the messages: whatever the crash left of the index, all are found, and no other.
fn search(handle: &LogHandle, heard: &Receiver<Completion>, all: &[Message]) -> Result<(), Breach> {
    let mut newest_first: Vec<_> = all.iter().collect();
    newest_first.sort_by_key(|message| std::cmp::Reverse(message.index));
    for message in newest_first.iter().step_by(7) {
        let number = message.text.split(' ').next().unwrap_or_default();
        let Select { spans, max_messages, max_bytes, .. } = everything(1);
        let (reader, words) = (UserName::new("leia").expect("a name"), Search::words(number).expect("a word"));
        let (direct_after, up_to, before) = (LogIndex(0), LogIndex(u64::MAX), None);
        let search = Search { reader, direct_after, spans, words, up_to, before, max_messages, max_bytes };
        let expected = search.page(newest_first.iter().copied());
        let found = read(handle, heard, search)?;
        if found != expected {
            return Err(Breach::Wrong(format!("a search for {number} finds {found:?}, there is {expected:?}")));
        }
    }
    Ok(())
}

fn read(handle: &LogHandle, heard: &Receiver<Completion>, what: impl Into<Query>) -> Result<Page, Breach> {
    handle.query(QueryId(0), what);
    match heard.recv_timeout(PATIENCE).expect("the store says something") {
        Completion::Found { page: Some(page), .. } => Ok(page),
        other => Err(Breach::Wrong(format!("{other:?} in the place of a page"))),
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::Damaged(sentence) => write!(f, "the log cannot be read: {sentence}"),
            Breach::Lost { told, found } => write!(f, "{told} facts were said to be committed, {found} are there"),
            Breach::Wrong(what) => f.write_str(what),
        }
    }
}
