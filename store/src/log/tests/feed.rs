//! The order of the feed, and what is durable when.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use super::*;

#[test]
fn facts_are_there_after_the_log_is_opened_again() {
    let data = directory();
    let log = Running::open(data.path());
    let facts = [account("yoda"), broadcast("one"), broadcast("two")];
    for (index, fact) in (1..).zip(&facts) {
        log.handle.propose(Ticket(index + 10), fact.clone());
        let expected = Committed { index: LogIndex(index), ticket: Some(Ticket(index + 10)), fact: fact.clone() };
        assert_eq!(log.next_committed(), expected);
    }
    assert!(log.stop().is_empty());
    let expected = (1..).zip(facts).map(|(index, fact)| Committed { index: LogIndex(index), ticket: None, fact });
    assert_eq!(replayed(data.path()), expected.collect::<Vec<_>>());
}

#[test]
fn a_fact_is_in_the_database_when_it_is_reported() {
    let data = directory();
    let path = path(data.path());
    let log = Log::open(data.path()).expect("opened");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handle = log.start({
        let seen = seen.clone();
        move |completion| {
            let Completion::Committed(committed) = completion else { return };
            let other = Connection::open(&path).expect("opened");
            let there = facts::last(&other).expect("read");
            seen.lock().expect("no panic").push((committed.index, there));
        }
    });
    for count in 0..200 {
        handle.propose(Ticket(count), broadcast("x"));
    }
    handle.stop();
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.len(), 200);
    assert!(seen.iter().all(|(reported, there)| reported <= there));
}

#[test]
fn proposals_of_many_threads_come_back_in_one_order_without_gaps() {
    let data = directory();
    let log = Running::open(data.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let handle = &log.handle;
            scope.spawn(move || (0..500).for_each(|n| handle.propose(Ticket(thread * 1000 + n), broadcast("x"))));
        }
    });
    let mut next = [0; 4];
    for index in 1..=2000 {
        let committed = log.next_committed();
        assert_eq!(committed.index, LogIndex(index));
        let ticket = committed.ticket.expect("ours").0;
        let expected = &mut next[usize::try_from(ticket / 1000).expect("small")];
        assert_eq!(ticket % 1000, *expected);
        *expected += 1;
    }
    assert_eq!(next, [500; 4]);
}

#[test]
fn stopping_commits_what_is_queued_and_frees_the_directory() {
    let data = directory();
    let log = Running::open(data.path());
    for count in 0..1000 {
        log.handle.propose(Ticket(count), broadcast("x"));
    }
    assert_eq!(log.stop().len(), 1000);
    assert_eq!(replayed(data.path()).len(), 1000);
}

#[test]
fn a_query_sees_every_message_recorded_before_it() {
    let data = directory();
    let log = Running::open(data.path());
    let mut expected = Vec::new();
    for number in 1..=200 {
        let text = format!("text {number}");
        let committed = log.commit(broadcast(&text));
        expected.push(message(committed.index.0, number, &text));
        log.handle.record(&expected[expected.len() - 1]);
        assert_eq!(log.broadcasts(), expected);
    }
}

#[test]
fn messages_are_recorded_before_long_though_nobody_asks_for_them() {
    let data = directory();
    let log = Running::open(data.path());
    log.commit(broadcast("one"));
    log.handle.record(&message(1, 1, "one"));
    let other = open_read_only(data.path()).expect("opened").expect("there");
    let deadline = std::time::Instant::now() + DEADLINE;
    while newest_recorded(&other).expect("read") != LogIndex(1) {
        assert!(std::time::Instant::now() < deadline, "never recorded");
        std::thread::yield_now();
    }
}

#[test]
fn messages_that_waited_for_company_are_recorded_when_the_log_stops() {
    let data = directory();
    let log = Running::open(data.path());
    log.commit(broadcast("one"));
    log.handle.record(&message(1, 1, "one"));
    assert!(log.stop().is_empty());
    assert_eq!(Log::open(data.path()).expect("opened").recorded(), LogIndex(1));
}

#[test]
fn facts_of_other_processes_are_reported_once_in_their_place() {
    let data = directory();
    let log = Running::open(data.path());
    log.commit(broadcast("before"));
    append(data.path(), &[account("luke"), account("leia")]).expect("appended");
    let mut reported = vec![log.next_committed(), log.next_committed()];
    assert!(reported.iter().all(|committed| committed.ticket.is_none()));
    // While we are writing, too.
    for count in 0..20 {
        log.handle.propose(Ticket(count), broadcast("ours"));
        append(data.path(), &[account(&format!("user{count}"))]).expect("appended");
    }
    reported.extend((0..40).map(|_| log.next_committed()));
    assert!(reported.iter().map(|committed| committed.index.0).eq(2..=43));
    assert_eq!(reported.iter().filter(|committed| committed.ticket.is_some()).count(), 20);
    assert!(log.stop().is_empty());
    let facts = replayed(data.path());
    assert!(reported.iter().zip(&facts[1..]).all(|(reported, kept)| reported.fact == kept.fact));
}

#[test]
fn facts_of_other_processes_between_replay_and_start_are_reported() {
    let data = directory();
    append(data.path(), &[account("luke")]).expect("appended");
    let mut log = Log::open(data.path()).expect("opened");
    let mut count = 0;
    log.replay(|_| count += 1).expect("replayed");
    assert_eq!(count, 1);
    append(data.path(), &[account("leia")]).expect("appended");
    let log = Running::start(log);
    assert_eq!(log.next_committed(), Committed { index: LogIndex(2), ticket: None, fact: account("leia") });
}

#[test]
fn messages_recorded_again_after_a_restart_are_skipped() {
    let data = directory();
    let log = Running::open(data.path());
    let messages: Vec<_> = (1..=3).map(|number| message(number, number, "text")).collect();
    for message in &messages {
        log.commit(broadcast("text"));
        log.handle.record(message);
    }
    assert_eq!(log.broadcasts(), messages);
    log.stop();

    let log = Running::open(data.path());
    let mut changed = messages.clone();
    changed[2].at = Timestamp::from_millis(999_999);
    changed.iter().for_each(|message| log.handle.record(message));
    assert_eq!(log.broadcasts(), messages);
    // What is new is not skipped.
    let committed = log.commit(broadcast("new"));
    log.handle.record(&message(committed.index.0, 4, "new"));
    assert_eq!(log.broadcasts().len(), 4);
}

#[test]
fn a_lost_index_of_messages_is_filled_again() {
    let data = directory();
    append(data.path(), &[broadcast("one"), broadcast("two")]).expect("appended");
    let log = Running::open(data.path());
    assert_eq!(log.broadcasts(), []);
    let messages = [message(1, 1, "one"), message(2, 2, "two")];
    messages.iter().for_each(|message| log.handle.record(message));
    assert_eq!(log.broadcasts(), messages);
}

#[test]
fn a_second_server_is_refused_until_the_first_has_ended() {
    let data = directory();
    let log = Running::open(data.path());
    assert_eq!(
        refusal(data.path()),
        format!(
            "the data directory {} is in use by another Toom server; stop it first or choose another with --data",
            data.path().display()
        )
    );
    log.commit(broadcast("still alive"));
    log.stop();
    drop(Log::open(data.path()).expect("free now"));
    Log::open(data.path()).expect("free again");
}

#[test]
fn the_data_directory_and_the_database_are_for_their_owner_only() {
    let parent = directory();
    let data = parent.path().join("a/b");
    append(&data, &[account("yoda")]).expect("appended");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&path(&data)), 0o600);
    Running::open(&data).stop();
    assert_eq!(mode(&data.join("lock")), 0o600);
}

#[test]
fn accounts_are_those_added_and_not_removed() {
    let data = directory();
    let missing = data.path().join("missing");
    assert_eq!(accounts(&missing).expect("read"), []);
    assert!(!missing.exists());
    append(data.path(), &[account("yoda"), account("luke"), account("leia"), account("yoda")]).expect("appended");
    append(data.path(), &[Fact::AccountRemoved { name: name("luke") }, broadcast("x")]).expect("appended");
    assert_eq!(accounts(data.path()).expect("read"), [name("leia"), name("yoda")]);
}

#[test]
fn a_data_directory_that_cannot_be_looked_into_does_not_count_as_one_without_accounts() {
    let directory = directory();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").expect("written");
    let circle = directory.path().join("circle");
    std::os::unix::fs::symlink(&circle, &circle).expect("linked");
    for data in [&file, &circle] {
        let error = accounts(data).expect_err("refused").to_string();
        let what = format!("{} cannot be opened: ", data.join("toom.db").display());
        assert!(error.starts_with(&what) && error.len() > what.len(), "{error}");
    }
}

#[test]
fn many_processes_may_make_and_fill_the_log_at_once() {
    let data = directory();
    let data = data.path().join("new");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let data = &data;
            scope.spawn(move || append(data, &[account(&format!("a{thread}")), account(&format!("b{thread}"))]));
        }
    });
    let facts = replayed(&data);
    assert_eq!(facts.len(), 16);
    // Each one's facts stay together.
    for pair in facts.chunks(2) {
        let names = pair.iter().map(|committed| match &committed.fact {
            Fact::AccountAdded { name, .. } => name.as_str()[1..].to_owned(),
            other => panic!("an account, not {other:?}"),
        });
        let names: Vec<_> = names.collect();
        assert_eq!(names[0], names[1]);
    }
}

#[test]
fn what_is_committed_is_moved_into_the_database_while_the_log_runs() {
    let data = directory();
    let log = Running::open(data.path());
    let size = || path(data.path()).metadata().expect("there").len();
    let before = size();
    let text = "x".repeat(16_000);
    (0..80).for_each(|_| drop(log.commit(broadcast(&text))));
    let give_up = std::time::Instant::now() + DEADLINE;
    while size() < before + 1_000_000 {
        assert!(std::time::Instant::now() < give_up, "nothing was moved");
        std::thread::sleep(Duration::from_millis(2));
    }
    log.stop();
    assert!(!data.path().join("toom.db-wal").exists(), "the rest is moved when the log ends");
}

#[test]
fn another_process_appends_at_once_while_someone_reads() {
    let data = directory();
    let log = Running::open(data.path());
    log.commit(broadcast("one"));
    let other = Connection::open(path(data.path())).expect("opened");
    other.execute_batch("BEGIN; SELECT count(*) FROM log").expect("reads on");
    log.commit(broadcast("two"));
    append(data.path(), &[account("luke")]).expect("nobody waits for one who reads");
    assert_eq!(log.next_committed().fact, account("luke"));
}
