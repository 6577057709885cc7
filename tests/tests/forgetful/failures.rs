//! A disk that fails ends writing, and only writing: nothing is confirmed that is not durable, nothing that failed is
//! tried again, and nothing that was confirmed is gone after the restart.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use toom_core::id::{QueryId, Ticket};
use toom_core::server::fact::{Committed, Fact};
use toom_store::log::{Completion, Log, LogHandle, append};
use toom_tests::sim::dice::Dice;

use crate::disk::{Disk, Image};
use crate::life::{DATABASE, GROUP, Numbers, PATIENCE, WAL, everything, fact};
use crate::mount::{Failure, Mount, Operation, lock};
use crate::recovery::check;

/// A log that runs on a disk that will fail.
struct Running {
    handle: LogHandle,
    heard: Receiver<Completion>,
    told: Vec<Fact>,
    numbers: Numbers,
    proposed: u64,
    dice: Dice,
}

/// What was said about one proposal, and why writing stopped if that was said before.
type Answer = (Result<(), Ticket>, Option<String>);

impl Running {
    fn start(mount: &Mount, seed: u64) -> Running {
        let mut log = Log::open(mount.path()).expect("opened");
        let mut known = Vec::new();
        log.replay(|committed| known.push(committed)).expect("replayed");
        Running::run(log, known, seed)
    }

    /// Goes on with a log of which this is known.
    fn run(log: Log, known: Vec<Committed>, seed: u64) -> Running {
        let mut numbers = Numbers::default();
        let messages: Vec<_> = known.iter().filter_map(|committed| numbers.message(committed)).collect();
        let told: Vec<_> = known.into_iter().map(|committed| committed.fact).collect();
        let (say, heard) = channel();
        let handle = log.start(move |completion| say.send(completion).unwrap_or_default());
        messages.iter().for_each(|message| handle.record(message));
        let proposed = told.len() as u64;
        Running { handle, heard, told, numbers, proposed, dice: Dice::new(seed, "failures") }
    }

    /// Proposes a fact and waits for the answer. What is committed is recorded with the next one.
    fn propose(&mut self, large: bool) -> Answer {
        self.proposed += 1;
        let ticket = Ticket(self.proposed);
        self.handle.propose(ticket, fact("yoda", self.proposed, large, &mut self.dice));
        let mut stopped = None;
        loop {
            match self.heard.recv_timeout(PATIENCE).expect("the store says something") {
                Completion::Committed(committed) => {
                    assert_eq!((committed.ticket, committed.index.0), (Some(ticket), self.told.len() as u64 + 1));
                    if let Some(message) = self.numbers.message(&committed) {
                        self.handle.record(&message);
                    }
                    self.told.push(committed.fact);
                    return (Ok(()), stopped);
                }
                Completion::ProposalFailed { ticket: failed } => {
                    assert_eq!(failed, ticket);
                    return (Err(ticket), stopped);
                }
                Completion::StoppedWriting { reason } => {
                    assert_eq!(stopped.replace(reason), None, "said once");
                }
                other @ (Completion::Found { .. } | Completion::Forgotten { .. }) => panic!("{other:?}"),
            }
        }
    }

    /// Proposes until writing stops; why it did.
    fn propose_until_stopped(&mut self, large: bool) -> String {
        for _ in 0..5_000 {
            if let (answer, Some(reason)) = self.propose(large) {
                assert!(answer.is_err(), "nothing is committed after writing stopped");
                return reason;
            }
        }
        panic!("writing never stopped");
    }

    /// How many messages are found; `None` if they cannot be read.
    fn messages(&self) -> Option<usize> {
        self.handle.query(QueryId(0), everything(1));
        match self.heard.recv_timeout(PATIENCE).expect("the store says something") {
            Completion::Found { page, .. } => page.map(|page| page.messages.len()),
            other => panic!("{other:?} in the place of a page"),
        }
    }
}

fn write(file: &'static str, full: bool) -> Failure {
    Failure { operation: Operation::Write, file, after: 0, lasting: false, full }
}

fn sync(file: &'static str) -> Failure {
    Failure { operation: Operation::Sync, file, after: 0, lasting: false, full: false }
}

/// Lets the disk fail once; what must hold from then on. Gives the sentence that was said.
fn fail(failure: Failure, large: bool) -> String {
    let mount = Mount::new(Disk::default());
    let mut log = Running::start(&mount, 0);
    for _ in 0..10 {
        assert_eq!(log.propose(false), (Ok(()), None));
    }
    mount.directory().failures.push(failure);
    let reason = log.propose_until_stopped(large);
    assert!(mount.directory().failures.is_empty(), "the disk has failed, and is well again");

    mount.directory().operations.clear();
    for _ in 0..3 {
        assert!(matches!(log.propose(false), (Err(_), None)), "writing has ended for good");
    }
    assert!(log.messages().is_some_and(|count| count > 0), "reading goes on");
    let Running { handle, told, .. } = log;
    handle.stop();
    assert_eq!(mount.directory().operations_on_log(), [], "nothing is tried again");
    let disk = mount.directory().disk.clone();
    drop(mount);
    restart(&disk, &told, 0);
    assert!(reason.contains("/toom.db "), "{reason}");
    reason.split_once("/toom.db ").expect("it names the file").1.into()
}

/// Everything that was told is there when power was lost after the failure; and also when only the server was started
/// anew, whenever power is lost from then on.
fn restart(disk: &Disk, told: &[Fact], seed: u64) {
    let mut dice = Dice::new(seed, "restart");
    for _ in 0..5 {
        check(&disk.after_crash(&mut dice), told, &mut dice).expect("all is there after power was lost");
    }
    let mount = Mount::new(disk.clone());
    let images = watch(&mount, dice.fork());
    let mut log = Running::start(&mount, seed);
    assert!(log.told.starts_with(told), "all is there after a restart");
    for _ in 0..3 {
        assert_eq!(log.propose(false), (Ok(()), None));
    }
    log.handle.stop();
    check_all(&images, told, &mut dice);
}

/// What power cuts would leave, and before what they would be.
type Images = Arc<Mutex<Vec<(String, Image)>>>;

/// Cuts the power before some operations.
fn watch(mount: &Mount, mut dice: Dice) -> Images {
    let images = Images::default();
    let take = images.clone();
    mount.directory().witness = Some(Box::new(move |disk, operation, file| {
        if operation != Operation::Read && lock(&take).len() < 15 && dice.chance(0.3) {
            lock(&take).push((format!("{operation:?} of {file}"), disk.after_crash(&mut dice)));
        }
    }));
    images
}

fn check_all(images: &Images, told: &[Fact], dice: &mut Dice) {
    for (moment, image) in lock(images).iter() {
        if let Err(breach) = check(image, told, dice) {
            panic!("after the restart, power lost before {moment}: {breach}");
        }
    }
}

#[test]
fn a_full_disk_ends_writing() {
    assert_eq!(fail(write(WAL, true), false), "cannot be written: the disk is full");
}

#[test]
fn a_write_that_fails_ends_writing() {
    assert_eq!(fail(write(WAL, false), false), "cannot be read or written: the disk failed (disk I/O error)");
}

#[test]
fn a_sync_that_fails_ends_writing() {
    assert_eq!(fail(sync(WAL), false), "cannot be read or written: the disk failed (disk I/O error)");
}

/// A disk whose last sync failed, in the first commit of a new write-ahead log, and what was told before.
fn forgotten(seed: u64) -> (Disk, Vec<Fact>) {
    let mount = Mount::new(Disk::default());
    let mut log = Running::start(&mount, seed);
    for _ in 0..3 {
        assert_eq!(log.propose(false), (Ok(()), None));
    }
    log.handle.stop();
    let mut log = Running::start(&mount, seed);
    mount.directory().dice = Dice::new(seed, "forgotten");
    // The first sync is that of the header, the second one of the commit.
    mount.directory().failures.push(Failure { after: 1, ..sync(WAL) });
    log.propose_until_stopped(true);
    let Running { handle, told, .. } = log;
    handle.stop();
    let disk = mount.directory().disk.clone();
    (disk, told)
}

#[test]
fn what_a_failed_sync_forgot_cannot_tear_the_database_after_a_restart() {
    for seed in 0..40 {
        let (disk, told) = forgotten(seed);
        restart(&disk, &told, seed);
    }
}

#[test]
fn another_process_that_appends_behind_what_a_failed_sync_forgot_tears_nothing() {
    for seed in 0..40 {
        let (disk, told) = forgotten(seed);
        let mount = Mount::new(disk);
        let mut dice = Dice::new(seed, "appended");
        let group: Vec<_> = (0..GROUP).map(|part| fact("luke", part as u64, false, &mut dice)).collect();
        let images = watch(&mount, dice.fork());
        append(mount.path(), &group).expect("appended");
        check_all(&images, &told, &mut dice);
        let left = mount.directory().disk.after_crash(&mut dice);
        let facts = check(&left, &told, &mut dice).expect("all is well").facts;
        assert!(facts.ends_with(&group), "seed {seed}");
    }
}

#[test]
fn a_checkpoint_that_fails_ends_writing() {
    for failure in [write(DATABASE, false), sync(DATABASE)] {
        assert_eq!(fail(failure, true), "cannot be read or written: the disk failed (disk I/O error)");
    }
    assert_eq!(fail(write(DATABASE, true), true), "cannot be written: the disk is full");
}

#[test]
fn a_read_that_fails_fails_one_query() {
    let mount = Mount::new(Disk::default());
    let mut log = Running::start(&mount, 0);
    // More than what SQLite keeps in memory.
    for _ in 0..120 {
        assert_eq!(log.propose(true), (Ok(()), None));
    }
    let found = log.messages();
    assert!(found.is_some());
    for file in [DATABASE, WAL] {
        mount.directory().failures.push(Failure { operation: Operation::Read, lasting: true, ..sync(file) });
    }
    assert_eq!(log.messages(), None);
    mount.directory().failures.clear();
    assert_eq!(log.messages(), found);
    assert_eq!(log.propose(false), (Ok(()), None), "writing goes on");
}

#[test]
fn wherever_a_disk_fails_nothing_that_was_confirmed_is_lost() {
    let (mut stopped, mut unopened) = (0, 0);
    for seed in 0..40 {
        let mut dice = Dice::new(seed, "wherever");
        let operations = [Operation::Write, Operation::Sync, Operation::Sync, Operation::Read, Operation::Make];
        let latest = if dice.chance(0.3) { 5 } else { 40 };
        let failure = Failure {
            operation: operations[dice.within(0..=4) as usize],
            file: if dice.chance(0.6) { WAL } else { DATABASE },
            after: dice.within(0..=latest) as u32,
            lasting: dice.chance(0.5),
            full: dice.chance(0.2),
        };
        let mount = Mount::new(Disk::default());
        {
            let mut directory = mount.directory();
            directory.dice = dice.fork();
            directory.failures.push(failure);
        }
        let mut told = Vec::new();
        match open_and_work(&mount, seed, &mut told) {
            Ok(stop) => stopped += usize::from(stop),
            Err(sentence) => {
                unopened += 1;
                assert!(sentence.contains("/toom.db "), "{sentence}");
            }
        }
        mount.directory().failures.clear();
        restart(&mount.directory().disk, &told, seed);
    }
    assert!(stopped > 3 && unopened > 3, "{stopped} stopped writing, {unopened} were not opened: too few of a kind");
}

/// Whether writing stopped, or why the log was not opened.
fn open_and_work(mount: &Mount, seed: u64, told: &mut Vec<Fact>) -> Result<bool, String> {
    // So that opening and replaying meets the failure, too.
    let mut log = Log::open(mount.path()).map_err(|error| error.0)?;
    log.replay(|_| {}).map_err(|error| error.0)?;
    let mut log = Running::run(log, Vec::new(), seed);
    let mut stopped = false;
    for number in 0..30 {
        let (answer, reason) = log.propose(number % 3 == 2);
        if let Some(reason) = reason {
            assert!(!stopped && reason.contains("/toom.db"), "{reason}");
            stopped = true;
            mount.directory().operations.clear();
        }
        assert_eq!(answer.is_err(), stopped, "nothing is committed after writing stopped, and all before");
    }
    told.append(&mut log.told);
    log.handle.stop();
    assert!(!stopped || mount.directory().operations_on_log().is_empty(), "nothing is tried again");
    Ok(stopped)
}
