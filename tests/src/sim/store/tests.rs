use toom_core::id::MessageNumber;
use toom_core::server::fact::Conversation;
use toom_core::server::io::{Select, Span};
use toom_core::time::Timestamp;

use super::*;
use crate::scenario::steps::user;

const COMMIT: Duration = Duration::from_millis(8);

fn store(seed: u64) -> Store {
    reopened(Durable::default(), seed)
}

fn reopened(durable: Durable, seed: u64) -> Store {
    let work = WorkOptions { commit: COMMIT, ..WorkOptions::default() };
    Store::new(durable, work, Dice::new(seed, "store"))
}

fn fact(text: &str) -> Fact {
    Fact::Broadcast { from: user("yoda"), text: text.into(), at: Timestamp::default(), id: None }
}

fn message(number: u64) -> Message {
    Message {
        conversation: Conversation::Broadcast,
        number: MessageNumber(number),
        at: Timestamp::default(),
        from: user("yoda"),
        text: "text".into(),
        index: LogIndex(number),
    }
}

fn everything() -> Select {
    let (first, last) = (MessageNumber(0), MessageNumber(u64::MAX));
    let spans = vec![Span { conversation: Conversation::Broadcast, first, last }];
    Select { spans, not_before: Timestamp::default(), max_messages: 99, max_bytes: usize::MAX }
}

fn tell(store: &mut Store, now: Instant, input: Input) -> Vec<Output> {
    let mut out = Vec::new();
    store.handle(now, input, &mut out);
    out
}

fn propose(store: &mut Store, now: Instant, ticket: u64) -> Vec<Output> {
    tell(store, now, Input::Proposed(Ticket(ticket), fact(&format!("{ticket}"))))
}

/// Wakes the store once, when it wants to be woken.
fn wake(store: &mut Store) -> Vec<Output> {
    let at = store.deadline().expect("something is under way");
    tell(store, at, Input::Woke)
}

/// What is reported until nothing is left to do.
fn all(store: &mut Store) -> Vec<Output> {
    let mut out = Vec::new();
    while store.deadline().is_some() {
        out.extend(wake(store));
    }
    out
}

/// The tickets of committed facts; 0 for those of others.
fn committed(out: &[Output]) -> Vec<u64> {
    let ticket = |output: &Output| match output {
        Output::Committed(committed) => Some(committed.ticket.map_or(0, |ticket| ticket.0)),
        _ => None,
    };
    out.iter().filter_map(ticket).collect()
}

fn failed(out: &[Output]) -> Vec<u64> {
    let ticket = |output: &Output| match output {
        Output::Failed(ticket) => Some(ticket.0),
        _ => None,
    };
    out.iter().filter_map(ticket).collect()
}

fn texts(durable: &Durable) -> Vec<String> {
    let text = |committed: Committed| match committed.fact {
        Fact::Broadcast { text, .. } => text,
        other => panic!("{other:?} in a log of broadcasts"),
    };
    durable.replay().into_iter().map(text).collect()
}

#[test]
fn what_comes_during_a_commit_is_the_next_batch_and_becomes_durable_at_once() {
    let mut store = store(1);
    for ticket in 1..=4 {
        assert!(propose(&mut store, Instant::ZERO, ticket).is_empty());
    }
    assert!(texts(store.durable()).is_empty(), "durable before the commit");
    assert_eq!(committed(&wake(&mut store)), [1]);
    assert_eq!(committed(&wake(&mut store)), [2, 3, 4]);
    assert_eq!((texts(store.durable()), store.deadline()), (["1", "2", "3", "4"].map(String::from).to_vec(), None));
}

#[test]
fn a_query_sees_every_message_that_was_recorded_before_it() {
    let mut store = store(1);
    propose(&mut store, Instant::ZERO, 1);
    wake(&mut store);
    let now = Instant::ZERO + COMMIT;
    propose(&mut store, now, 2);
    tell(&mut store, now, Input::Recorded(message(1)));
    assert!(tell(&mut store, now, Input::Asked(QueryId(7), everything().into())).is_empty());
    match all(&mut store).last() {
        Some(Output::Found(QueryId(7), Some(page))) => assert_eq!(page.messages, [message(1)]),
        other => panic!("{other:?} in the place of a page"),
    }
}

#[test]
fn of_what_is_under_way_in_a_crash_the_first_ones_may_be_durable_and_the_rest_is_lost() {
    for survive in 0..6 {
        let mut store = store(1);
        propose(&mut store, Instant::ZERO, 1);
        wake(&mut store);
        for ticket in 2..=5 {
            propose(&mut store, Instant::ZERO + COMMIT, ticket);
        }
        let remains = store.end(survive);
        let survivors: Vec<_> = remains.survivors.iter().map(|it| (it.index.0, it.ticket)).collect();
        let expected: Vec<_> = (2..=5).take(survive as usize).map(|it| (it, Some(Ticket(it)))).collect();
        assert_eq!((survivors, remains.lost), (expected.clone(), 4 - expected.len()));
        assert_eq!(texts(&remains.durable).len(), 1 + expected.len());
    }
}

#[test]
fn the_index_of_messages_may_lag_behind_the_log_in_a_crash_until_its_own_commit() {
    let indexed = |wakes: usize| {
        let mut store = store(1);
        for ticket in 1..=2 {
            propose(&mut store, Instant::ZERO, ticket);
        }
        all(&mut store);
        for number in 1..=2 {
            tell(&mut store, Instant::ZERO + 2 * COMMIT, Input::Recorded(message(number)));
        }
        assert_eq!(store.durable().messages(&Conversation::Broadcast).count(), 2, "not visible at once");
        (0..wakes).for_each(|_| drop(wake(&mut store)));
        let durable = store.end(9).durable;
        assert_eq!(durable.replay().len(), 2, "a fact was lost");
        durable
    };
    let count = |durable: &Durable| durable.messages(&Conversation::Broadcast).count();
    assert_eq!([0, 1, 2].map(|wakes| count(&indexed(wakes))), [0, 1, 2]);
    // The next start records everything again.
    let mut repaired = reopened(indexed(1), 2);
    for number in 1..=2 {
        tell(&mut repaired, Instant::ZERO, Input::Recorded(message(number)));
    }
    all(&mut repaired);
    assert_eq!(count(&repaired.end(0).durable), 2);
}

#[test]
fn on_a_full_disk_everything_fails_until_a_restart_and_nothing_gets_to_the_disk() {
    let mut store = store(1);
    propose(&mut store, Instant::ZERO, 1);
    store.trouble().full = true;
    propose(&mut store, Instant::ZERO, 2);
    let out = all(&mut store);
    assert_eq!((failed(&out), committed(&out)), (vec![1, 2], vec![]));
    assert_eq!(out.iter().filter(|it| matches!(it, Output::StoppedWriting)).count(), 1);
    assert!(store.append(Instant::ZERO, fact("other")).is_none());
    *store.trouble() = Trouble::default();
    assert_eq!((failed(&propose(&mut store, Instant::ZERO + COMMIT, 3)), store.has_stopped()), (vec![3], true));
    let mut store = reopened(store.end(9).durable, 2);
    propose(&mut store, Instant::ZERO, 1);
    assert_eq!((committed(&all(&mut store)), texts(store.durable())), (vec![1], vec!["1".to_owned()]));
}

#[test]
fn after_a_failed_sync_nobody_knows_what_is_on_the_disk() {
    let mut seen = [false; 4];
    for seed in 0..40 {
        let mut store = store(seed);
        propose(&mut store, Instant::ZERO, 1);
        wake(&mut store);
        // The first one keeps the writer busy, so that the others are one batch.
        for ticket in 2..=5 {
            propose(&mut store, Instant::ZERO + COMMIT, ticket);
        }
        assert_eq!(committed(&wake(&mut store)), [2]);
        store.trouble().sync_fails = true;
        let out = all(&mut store);
        assert_eq!((failed(&out), committed(&out)), (vec![3, 4, 5], vec![]));
        assert_eq!(failed(&propose(&mut store, Instant::ZERO + 3 * COMMIT, 6)), [6]);
        assert_eq!(store.durable().replay().len(), 2);
        let survivors = texts(&store.end(9).durable)[2..].to_vec();
        assert_eq!(survivors, ["3", "4", "5"][..survivors.len()]);
        seen[survivors.len()] = true;
    }
    assert_eq!(seen, [true; 4], "some outcome never happened");
}

#[test]
fn what_others_append_is_durable_at_once_and_reported_before_the_next_batch() {
    let mut store = store(1);
    propose(&mut store, Instant::ZERO, 1);
    assert_eq!(store.append(Instant::ZERO, fact("other")).map(|committed| committed.index), Some(LogIndex(1)));
    assert_eq!(texts(store.durable()), ["other"]);
    assert_eq!(committed(&wake(&mut store)), [0, 1]);
    // An idle store looks for it by itself.
    store.append(Instant::ZERO + COMMIT, fact("another"));
    assert!(store.deadline().is_some_and(|at| at <= Instant::ZERO + COMMIT + POLL_INTERVAL));
    assert_eq!((committed(&wake(&mut store)), store.deadline()), (vec![0], None));
}

#[test]
fn so_many_pages_cannot_be_read_and_the_next_one_can() {
    let mut store = store(1);
    store.trouble().reads_fail = 2;
    for query in 0..3 {
        tell(&mut store, Instant::ZERO, Input::Asked(QueryId(query), everything().into()));
    }
    let out = all(&mut store);
    let found = |output: &Output| match output {
        Output::Found(query, page) => Some((query.0, page.is_some())),
        _ => None,
    };
    let found: Vec<_> = out.iter().filter_map(found).collect();
    assert_eq!(found, [(0, false), (1, false), (2, true)]);
}

#[test]
fn a_slow_disk_makes_commits_late_and_says_so() {
    let mut store = store(1);
    store.trouble().commit = Some(Duration::from_secs(3_600));
    let out = propose(&mut store, Instant::ZERO, 1);
    assert!(matches!(out[..], [Output::Suffered(FaultKind::SlowCommit)]), "{out:?}");
    assert!(store.deadline().is_some_and(|at| at > Instant::ZERO + COMMIT));
    assert_eq!(committed(&wake(&mut store)), [1]);
}
