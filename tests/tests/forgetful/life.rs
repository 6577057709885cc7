//! The work of a store from opening to closing, and the crashes that might have happened meanwhile.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use toom_core::id::{LogIndex, MessageNumber, QueryId, RoomId, Ticket};
use toom_core::server::fact::{Committed, Conversation, Fact, Message};
use toom_core::server::io::{Select, Span};
use toom_core::time::Timestamp;
use toom_store::log::{Completion, Log, LogHandle, Synchronous, append};
use toom_tests::scenario::steps::user;
use toom_tests::sim::dice::Dice;

use crate::disk::Disk;
use crate::mount::{Mount, Operation, lock};

/// A store that says nothing for so long says nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The store's database.
pub(crate) const DATABASE: &str = "toom.db";
/// Its write-ahead log.
pub(crate) const WAL: &str = "toom.db-wal";

/// How many facts another process adds at once.
pub(crate) const GROUP: usize = 3;

/// The disk at some moment, and what had been said to be committed before.
pub(crate) struct Crash {
    pub(crate) disk: Disk,
    /// In the order of the log, without gaps.
    pub(crate) told: Vec<Fact>,
    /// What SQLite was about to do.
    pub(crate) moment: String,
    /// Whether a checkpoint was moving facts into the database.
    pub(crate) in_checkpoint: bool,
}

/// How a store lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) synchronous: Synchronous,
    pub(crate) facts: u64,
    /// Whether facts are so large that checkpoints become due.
    pub(crate) large: bool,
    /// How likely a crash is taken before an operation.
    pub(crate) chance: f64,
}

/// Numbers messages as the machine does: from the log alone.
#[derive(Default)]
pub(crate) struct Numbers(BTreeMap<Conversation, u64>);

/// Lets a store work on `disk`. What is committed is recorded, and read again at times; another process appends.
pub(crate) fn live(disk: Disk, plan: Plan) -> Vec<Crash> {
    let mut dice = Dice::new(plan.seed, "life");
    let told = Arc::new(Mutex::new(Vec::new()));
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let mount = Mount::new(disk);
    watch(&mount, plan.chance, dice.fork(), told.clone(), crashes.clone());
    work(&mount, plan, &mut dice, &told);
    mount.directory().witness = None;
    std::mem::take(&mut *lock(&crashes))
}

/// Takes a crash now and then, also between the parts of a commit, a checkpoint, or a recovery.
fn watch(mount: &Mount, chance: f64, mut dice: Dice, told: Arc<Mutex<Vec<Fact>>>, crashes: Arc<Mutex<Vec<Crash>>>) {
    mount.directory().witness = Some(Box::new(move |disk, operation, file| {
        // Commits write far more often than anything else happens.
        let rare = file != WAL || matches!(operation, Operation::Make | Operation::Delete | Operation::Resize);
        if operation != Operation::Read && dice.chance(if rare { 4.0 * chance } else { chance }) {
            let told = lock(&told).clone();
            let in_checkpoint = !told.is_empty() && disk.is_unsynced(DATABASE);
            let moment = format!("{operation:?} of {file}, {} facts told", told.len());
            lock(&crashes).push(Crash { disk: disk.clone(), told, moment, in_checkpoint });
        }
    }));
}

fn work(mount: &Mount, plan: Plan, dice: &mut Dice, told: &Arc<Mutex<Vec<Fact>>>) {
    let mut log = Log::open_to_be_lost(mount.path(), plan.synchronous).expect("opened");
    let (mut known, mut numbers) = (Vec::new(), Numbers::default());
    log.replay(|committed| known.push(committed)).expect("replayed");
    let (say, heard) = channel();
    let hear = told.clone();
    let handle = log.start(move |completion| {
        if let Completion::Committed(committed) = &completion {
            let mut told = lock(&hear);
            told.push(committed.fact.clone());
            assert_eq!(committed.index, LogIndex(told.len() as u64), "no gaps");
        }
        say.send(completion).unwrap_or_default();
    });
    lock(told).extend(known.iter().map(|committed| committed.fact.clone()));
    known.iter().filter_map(|committed| numbers.message(committed)).for_each(|message| handle.record(&message));
    let next = 1 + known.iter().filter_map(|committed| own(&committed.fact)).max().unwrap_or(0);
    let mut waiting = 0;
    for number in next..next + plan.facts {
        handle.propose(Ticket(number), fact("yoda", number, plan.large, dice));
        waiting += 1;
        // Up to eight people have said something that is not confirmed.
        let patience = if plan.large { 0 } else { dice.within(0..=7) };
        while waiting > patience {
            waiting -= hear_one(&heard, &handle, &mut numbers);
        }
        if plan.large {
            let_a_checkpoint_end(mount);
        }
        if dice.chance(0.1) {
            handle.query(QueryId(number), everything(1));
        }
        if plan.synchronous == Synchronous::Full && dice.chance(0.04) {
            let group: Vec<_> = (0..GROUP).map(|part| fact("luke", number * 10 + part as u64, false, dice)).collect();
            append(mount.path(), &group).expect("appended");
        }
    }
    while waiting > 0 {
        waiting -= hear_one(&heard, &handle, &mut numbers);
    }
    handle.stop();
}

/// A checkpoint that moves everything lets the write-ahead log start anew, over what it had: only then is it missed if
/// the database was not synced. So nothing is said while one runs, for a moment at most.
fn let_a_checkpoint_end(mount: &Mount) {
    for _ in 0..50 {
        if !mount.directory().disk.is_unsynced(DATABASE) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many proposals this answered.
fn hear_one(heard: &Receiver<Completion>, handle: &LogHandle, numbers: &mut Numbers) -> u64 {
    match heard.recv_timeout(PATIENCE).expect("the store says something") {
        Completion::Committed(committed) => {
            if let Some(message) = numbers.message(&committed) {
                handle.record(&message);
            }
            u64::from(committed.ticket.is_some())
        }
        Completion::Found { page, .. } => {
            assert!(page.is_some(), "readable");
            0
        }
        other => panic!("{other:?} from a disk that does not fail"),
    }
}

impl Numbers {
    /// The message that this fact is, if it is one.
    pub(crate) fn message(&mut self, committed: &Committed) -> Option<Message> {
        let (conversation, from, text) = match &committed.fact {
            Fact::Broadcast { from, text, .. } => (Conversation::Broadcast, from, text),
            Fact::RoomMessage { room, from, text, .. } => (Conversation::Room(*room), from, text),
            Fact::DirectMessage { from, to, text, .. } => (Conversation::direct(from, to), from, text),
            _ => return None,
        };
        let number = self.0.entry(conversation.clone()).or_default();
        *number += 1;
        Some(Message {
            conversation,
            number: MessageNumber(*number),
            at: Timestamp::from_millis(committed.index.0.cast_signed()),
            from: from.clone(),
            text: text.clone(),
            index: committed.index,
        })
    }
}

/// A fact that no other is equal to.
pub(crate) fn fact(from: &str, number: u64, large: bool, dice: &mut Dice) -> Fact {
    let filler = if large { dice.within(20_000..=60_000) } else { dice.within(0..=300) } as usize;
    let (from, text, at) = (user(from), format!("{number} {}", "x".repeat(filler)), Timestamp::default());
    match dice.within(0..=4) {
        0 => Fact::DirectReceived { user: from, peer: user("leia"), through: MessageNumber(number) },
        1 => Fact::RoomMessage { room: RoomId(1), from, text, at, id: None },
        2 => Fact::DirectMessage { from, to: user("leia"), text, at, id: None },
        _ => Fact::Broadcast { from, text, at, id: None },
    }
}

/// Whose fact it is, and which.
pub(crate) fn author(fact: &Fact) -> (&str, u64) {
    match fact {
        Fact::DirectReceived { user, through, .. } => (user.as_str(), through.0),
        Fact::RoomMessage { from, text, .. }
        | Fact::DirectMessage { from, text, .. }
        | Fact::Broadcast { from, text, .. } => {
            (from.as_str(), text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number"))
        }
        other => panic!("{other:?} was never proposed"),
    }
}

/// The number of a fact that the server proposed.
fn own(fact: &Fact) -> Option<u64> {
    Some(author(fact)).filter(|(name, _)| *name == "yoda").map(|(_, number)| number)
}

/// All conversations, from this number on.
pub(crate) fn everything(first: u64) -> Select {
    let direct = |name| Conversation::direct(&user(name), &user("leia"));
    let conversations = [Conversation::Broadcast, Conversation::Room(RoomId(1)), direct("luke"), direct("yoda")];
    let span = |conversation| Span { conversation, first: MessageNumber(first), last: MessageNumber(u64::MAX) };
    Select {
        spans: conversations.into_iter().map(span).collect(),
        not_before: Timestamp::from_millis(i64::MIN),
        max_messages: 50,
        max_bytes: 200_000,
    }
}
