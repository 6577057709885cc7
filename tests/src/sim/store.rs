//! The log in memory. It commits in batches as the real store does (`toom_store::log`), fails as that one does, and
//! forgets what was not synced when its process dies.
//!
//! # Theory of operation
//!
//! One batch is committed at a time. Whatever is asked for meanwhile waits, and is the next batch: it becomes
//! durable at once, and is reported in order. Queries go to the reader behind the batch that they came with, so
//! that they see it. A message is visible in the index as soon as it is recorded, but only a commit makes that
//! durable: after a crash the index may lack the newest messages of the log, and never more than that.
//!
//! A commit that fails ends writing for good, as nobody knows what the disk has; only a restart mends that.

mod durable;

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::VecDeque;

use toom_core::id::{LogIndex, QueryId, Ticket};
use toom_core::machine::Machine;
use toom_core::server::fact::{Committed, Fact, Message};
use toom_core::server::io::{Page, Query};
use toom_core::time::Instant;

pub use durable::Durable;

use super::dice::Dice;
use super::fault::FaultKind;
use super::options::WorkOptions;
use super::pending::Pending;

/// How often an idle store looks for facts that another process appended.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// What one batch may carry.
const MAX_BATCH: usize = 4_096;

/// The running store.
#[derive(Debug)]
pub struct Store {
    durable: Durable,
    work: WorkOptions,
    dice: Dice,
    trouble: Trouble,
    /// What waits for the batch under way.
    queue: VecDeque<Request>,
    /// The batch under way, and when it will be committed.
    batch: Option<(Instant, Vec<Request>)>,
    queries: Pending<(QueryId, Query)>,
    /// The last fact that was reported.
    reported: LogIndex,
    /// When it next looks for facts of others.
    poll: Option<Instant>,
    /// The newest fact whose message is in the index on the disk.
    indexed: LogIndex,
    /// Why writing has ended for good.
    stopped: Option<FaultKind>,
    /// What was in the batch whose sync failed: nobody knows whether the disk has it.
    in_doubt: Vec<(Ticket, Fact)>,
}

/// How a store's disk goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Commits take up to so long.
    pub commit: Option<Duration>,
    /// Nothing more can be written.
    pub full: bool,
    /// The next sync fails.
    pub sync_fails: bool,
    /// So many pages cannot be read.
    pub reads_fail: u32,
}

#[derive(Debug)]
enum Request {
    Propose(Ticket, Fact),
    /// The message of this fact.
    Record(LogIndex),
    Query(QueryId, Query),
}

/// What has happened.
#[derive(Debug)]
pub enum Input {
    /// The server wants a fact appended.
    Proposed(Ticket, Fact),
    /// The server wants a message indexed: seen by every later query.
    Recorded(Message),
    /// The server wants a page.
    Asked(QueryId, Query),
    /// The deadline passed.
    Woke,
}

/// What the store reports.
#[derive(Debug)]
pub enum Output {
    /// The next fact of the log.
    Committed(Committed),
    /// This proposal will never be committed, as far as anybody knows.
    Failed(Ticket),
    /// The answer to a query; `None` if reading failed.
    Found(QueryId, Option<Page>),
    /// Writing has ended for good.
    StoppedWriting,
    /// Something of this kind went wrong.
    Suffered(FaultKind),
}

/// What the end of the process leaves.
#[derive(Debug)]
pub struct Remains {
    /// What is on the disk.
    pub durable: Durable,
    /// What became durable without being reported, in order: the newest of the log.
    pub survivors: Vec<Committed>,
    /// How many proposals under way were lost.
    pub lost: usize,
}

impl Store {
    /// A store on what is there already.
    pub fn new(durable: Durable, work: WorkOptions, dice: Dice) -> Store {
        Store {
            reported: durable.last(),
            indexed: durable.indexed(),
            durable,
            work,
            dice,
            trouble: Trouble::default(),
            queue: VecDeque::new(),
            batch: None,
            queries: Pending::default(),
            poll: None,
            stopped: None,
            in_doubt: Vec::new(),
        }
    }

    /// What is durable now; its index of messages has what was recorded, too.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// How the disk goes wrong.
    pub fn trouble(&mut self) -> &mut Trouble {
        &mut self.trouble
    }

    /// Whether writing has ended for good.
    pub fn has_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Another process appends a fact: durable at once, and reported when this one looks. `None` if the disk is
    /// full.
    pub fn append(&mut self, now: Instant, fact: Fact) -> Option<Committed> {
        if self.trouble.full {
            return None;
        }
        // It takes the place of what was not committed properly.
        self.in_doubt.clear();
        if self.poll.is_none() && self.stopped.is_none() {
            self.poll = Some(now + self.dice.up_to(POLL_INTERVAL));
        }
        Some(self.durable.append(None, fact))
    }

    /// The process ends. The first `survive` proposals under way are durable nevertheless. Of a batch whose sync
    /// failed the dice say how much is.
    pub fn end(mut self, survive: u32) -> Remains {
        let batch = self.batch.take().into_iter().flat_map(|(_, requests)| requests);
        let proposals = |request| match request {
            Request::Propose(ticket, fact) => Some((ticket, fact)),
            Request::Record(_) | Request::Query(..) => None,
        };
        let mut under_way: Vec<_> = batch.chain(self.queue).filter_map(proposals).collect();
        let possible = if self.trouble.full || self.stopped.is_some() { 0 } else { under_way.len() };
        let lost = under_way.split_off(possible.min(survive as usize)).len();
        let certain = self.dice.within(0..=self.in_doubt.len() as u64) as usize;
        let nevertheless = self.in_doubt.into_iter().take(certain).chain(under_way);
        let append = |(ticket, fact)| self.durable.append(Some(ticket), fact);
        let survivors = nevertheless.map(append).collect();
        self.durable.unindex_after(self.indexed);
        Remains { durable: self.durable, survivors, lost }
    }

    /// Commits what is due, and goes on with what waits.
    fn write(&mut self, now: Instant, out: &mut Vec<Output>) {
        loop {
            match self.batch.take() {
                Some((at, requests)) if at <= now => self.commit(now, requests, out),
                Some(under_way) => {
                    self.batch = Some(under_way);
                    return;
                }
                None if self.queue.is_empty() => return,
                None => {
                    let requests: Vec<_> = self.queue.drain(..self.queue.len().min(MAX_BATCH)).collect();
                    let time = self.time_for(&requests, out);
                    self.batch = Some((now + time, requests));
                }
            }
        }
    }

    fn time_for(&mut self, requests: &[Request], out: &mut Vec<Output>) -> Duration {
        let reads = requests.iter().all(|request| matches!(request, Request::Query(..)));
        if reads || self.stopped.is_some() {
            return Duration::ZERO;
        }
        let time = self.dice.up_to(self.trouble.commit.unwrap_or(self.work.commit));
        if time > self.work.commit {
            out.push(Output::Suffered(FaultKind::SlowCommit));
        }
        time
    }

    fn commit(&mut self, now: Instant, requests: Vec<Request>, out: &mut Vec<Output>) {
        let (mut proposals, mut recorded) = (Vec::new(), None);
        for request in requests {
            match request {
                Request::Propose(ticket, fact) => proposals.push((ticket, fact)),
                Request::Record(index) => recorded = recorded.max(Some(index)),
                Request::Query(query, what) => {
                    self.queries.push_in_order(now + self.dice.up_to(self.work.query), (query, what));
                }
            }
        }
        if proposals.is_empty() && recorded.is_none() {
            return;
        }
        self.report_foreign(out);
        if let Some(kind) = self.failure() {
            return self.fail(kind, proposals, out);
        }
        for (ticket, fact) in proposals {
            let committed = self.durable.append(Some(ticket), fact);
            self.reported = committed.index;
            out.push(Output::Committed(committed));
        }
        self.indexed = self.indexed.max(recorded.unwrap_or_default());
    }

    /// Why a commit fails now.
    fn failure(&self) -> Option<FaultKind> {
        let full = self.trouble.full.then_some(FaultKind::DiskFull);
        let failed = self.trouble.sync_fails.then_some(FaultKind::FailedSync);
        self.stopped.or(full).or(failed)
    }

    fn fail(&mut self, kind: FaultKind, proposals: Vec<(Ticket, Fact)>, out: &mut Vec<Output>) {
        if self.stopped.is_none() {
            out.push(Output::StoppedWriting);
        }
        for (ticket, _) in &proposals {
            out.push(Output::Failed(*ticket));
            out.push(Output::Suffered(kind));
        }
        if self.stopped.is_none() && kind == FaultKind::FailedSync {
            self.in_doubt = proposals;
            self.trouble.sync_fails = false;
        }
        self.stopped = Some(kind);
        self.poll = None;
    }

    /// Reports what others appended.
    fn report_foreign(&mut self, out: &mut Vec<Output>) {
        if self.stopped.is_none() {
            out.extend(self.durable.after(self.reported).map(Output::Committed));
            self.reported = self.durable.last();
            self.poll = None;
        }
    }

    fn read(&mut self, query: QueryId, what: &Query, out: &mut Vec<Output>) {
        let fails = self.trouble.reads_fail > 0;
        if fails {
            self.trouble.reads_fail -= 1;
            out.push(Output::Suffered(FaultKind::ReadError));
        }
        out.push(Output::Found(query, (!fails).then(|| self.durable.answer(what))));
    }
}

impl Machine for Store {
    type Input<'a> = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        self.write(now, out);
        if self.poll.is_some_and(|at| at <= now) {
            self.report_foreign(out);
        }
        while let Some((query, what)) = self.queries.pop_due(now) {
            self.read(query, &what, out);
        }
        match input {
            Input::Proposed(ticket, fact) => self.queue.push_back(Request::Propose(ticket, fact)),
            Input::Recorded(message) => {
                self.durable.record(&message);
                // After a restart the server records the whole log again.
                if message.index > self.indexed {
                    self.queue.push_back(Request::Record(message.index));
                }
            }
            Input::Asked(query, what) => self.queue.push_back(Request::Query(query, what)),
            Input::Woke => {}
        }
        self.write(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        let batch = self.batch.as_ref().map(|(at, _)| *at);
        [batch, self.poll, self.queries.deadline()].into_iter().flatten().min()
    }
}
