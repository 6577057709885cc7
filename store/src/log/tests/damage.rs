//! Databases that cannot be used are refused by name, and left as they are.

use std::fs;

use super::*;

/// The data directory of a log with these facts, all in `toom.db` itself.
fn closed_log(facts: &[Fact]) -> tempfile::TempDir {
    let data = directory();
    append(data.path(), facts).expect("appended");
    assert!(!data.path().join("toom.db-wal").exists());
    data
}

fn sql(data: &Path, sql: &str) {
    let connection = Connection::open(path(data)).expect("opened");
    connection.execute_batch(sql).expect("executed");
}

#[test]
fn a_newer_schema_is_refused() {
    let data = closed_log(&[account("yoda")]);
    sql(data.path(), "PRAGMA user_version = 4");
    let before = fs::read(path(data.path())).expect("read");
    let sentence = format!(
        "{} was written by a newer version of Toom (schema 4, this one knows 3); it was not touched: use that version",
        path(data.path()).display()
    );
    assert_eq!(refusal(data.path()), sentence);
    assert_eq!(append(data.path(), &[account("luke")]).expect_err("refused").to_string(), sentence);
    assert_eq!(accounts(data.path()).expect_err("refused").to_string(), sentence);
    assert_eq!(fs::read(path(data.path())).expect("read"), before);
}

#[test]
fn a_table_that_is_declared_otherwise_than_it_was_made_is_refused() {
    for (from, to) in [
        ("idx INTEGER PRIMARY KEY, body", "idx INTEGER PRIOARY KEY, body"),
        ("number INTEGER NOT", "number INTEGER NOP"),
    ] {
        let data = closed_log(&[account("yoda")]);
        let mut content = fs::read(path(data.path())).expect("read");
        let place = content.windows(from.len()).position(|it| it == from.as_bytes()).expect("it is declared");
        content[place..place + to.len()].copy_from_slice(to.as_bytes());
        fs::write(path(data.path()), &content).expect("written");
        let sentence = format!("{} is damaged (its tables are not", path(data.path()).display());
        for refusal in [refusal(data.path()), accounts(data.path()).expect_err("refused").to_string()] {
            assert!(refusal.starts_with(&sentence), "{refusal}");
        }
        assert_eq!(fs::read(path(data.path())).expect("read"), content);
    }
}

#[test]
fn another_programs_database_is_refused() {
    let data = directory();
    sql(data.path(), "CREATE TABLE recipes (name TEXT)");
    let before = fs::read(path(data.path())).expect("read");
    let sentence = format!("{} is not a database of Toom; it was not touched", path(data.path()).display());
    assert_eq!(refusal(data.path()), sentence);
    assert_eq!(fs::read(path(data.path())).expect("read"), before);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let data = directory();
    let content = b"this is a letter, not a database ".repeat(100);
    fs::write(path(data.path()), &content).expect("written");
    for sentence in [
        refusal(data.path()),
        append(data.path(), &[]).expect_err("refused").to_string(),
        accounts(data.path()).expect_err("refused").to_string(),
    ] {
        assert!(sentence.starts_with(&format!("{} is damaged", path(data.path()).display())), "{sentence}");
        assert!(sentence.ends_with("; it was not touched"), "{sentence}");
    }
    assert_eq!(fs::read(path(data.path())).expect("read"), content);
}

#[test]
fn a_database_with_a_damaged_page_is_refused() {
    let facts: Vec<_> = (0..200).map(|n| broadcast(&format!("{n} {}", "x".repeat(500)))).collect();
    let data = closed_log(&facts);
    let mut content = fs::read(path(data.path())).expect("read");
    // Page 2 is the root of the table `log`.
    content[4096..8192].fill(0xa5);
    fs::write(path(data.path()), &content).expect("written");
    let sentence = refusal(data.path());
    assert!(sentence.starts_with(&format!("{} is damaged", path(data.path()).display())), "{sentence}");
    assert!(sentence.ends_with("; it was not touched"), "{sentence}");
    assert_eq!(fs::read(path(data.path())).expect("read"), content);
}

#[test]
fn a_fact_that_cannot_be_read_ends_the_replay_and_is_named() {
    const UNREADABLE: &str = "cannot be read: it is damaged, or a newer version of Toom wrote it";
    for (damage, what) in [
        ("UPDATE log SET body = x'c1' WHERE idx = 2", UNREADABLE),
        ("UPDATE log SET body = 'text' WHERE idx = 2", UNREADABLE),
        ("DELETE FROM log WHERE idx = 2", "is missing"),
    ] {
        let data = closed_log(&[account("a"), account("b"), account("c")]);
        sql(data.path(), damage);
        let sentence = format!("fact 2 of {} {what}; the file was not touched", path(data.path()).display());
        let mut log = Log::open(data.path()).expect("opened");
        let mut seen = Vec::new();
        let error = log.replay(|committed| seen.push(committed.index)).expect_err("refused");
        assert_eq!((error.to_string(), seen), (sentence.clone(), vec![LogIndex(1)]));
        assert_eq!(accounts(data.path()).expect_err("refused").to_string(), sentence);
    }
}

#[test]
fn a_message_whose_fact_cannot_be_read_fails_the_query() {
    let data = closed_log(&[broadcast("one"), broadcast("two")]);
    let log = Running::open(data.path());
    log.handle.record(&message(1, 1, "one"));
    log.handle.record(&message(2, 2, "two"));
    assert_eq!(log.broadcasts().len(), 2);
    sql(data.path(), "UPDATE log SET body = x'c1' WHERE idx = 1");
    assert_eq!(log.page(all_broadcasts()), None);
}

#[test]
fn an_unreadable_fact_of_another_process_stops_writing() {
    let data = directory();
    let log = Running::open(data.path());
    log.commit(broadcast("one"));
    sql(data.path(), "INSERT INTO log VALUES (2, x'c1')");
    let Completion::StoppedWriting { reason } = log.next() else { panic!("StoppedWriting expected") };
    assert!(reason.starts_with(&format!("fact 2 of {} cannot be read", path(data.path()).display())), "{reason}");
    log.handle.propose(Ticket(5), broadcast("two"));
    assert!(matches!(log.next(), Completion::ProposalFailed { ticket: Ticket(5) }));
    assert!(log.stop().is_empty());
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let parent = directory();
    let file = parent.path().join("file");
    fs::write(&file, b"").expect("written");
    let data = file.join("data");
    let sentence = refusal(&data);
    assert!(sentence.starts_with(&format!("the data directory {} cannot be made: ", data.display())), "{sentence}");
    assert!(!sentence.contains("os error"), "{sentence}");
}
