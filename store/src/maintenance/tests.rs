//! Data that is whole, data that is not, and copies of both.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use toom_core::config::ServerConfig;
use toom_core::name::UserName;
use toom_core::server::PostRates;
use toom_core::server::fact::Fact;

use super::*;
use crate::log::append;
use crate::server::Opened;

fn config(data: &Path) -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().expect("an address"),
        data: data.to_owned(),
        attempts: 3,
        block: Duration::from_secs(10),
        keep: None,
        grace: Duration::from_secs(60),
        post_rates: PostRates::default(),
    }
}

/// Data with two accounts, two broadcasts, a room with one message, a direct message, and a snapshot.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let name = |text| UserName::new(text).expect("a name");
    let at = Timestamp::from_millis;
    let account = |text| Fact::AccountAdded { name: name(text), hash: PasswordHash::decoy([0; 32], [1; 16]) };
    let broadcast =
        |text: &str, millis| Fact::Broadcast { from: name("yoda"), text: text.into(), at: at(millis), id: None };
    let (yoda, luke) = (name("yoda"), name("luke"));
    let members = vec![luke.clone(), yoda.clone()];
    let room = toom_core::id::RoomId(1);
    let facts = [
        account("yoda"),
        account("luke"),
        broadcast("one", 5),
        broadcast("two", 6),
        Fact::RoomBuilt { by: yoda.clone(), members, at: at(7) },
        Fact::RoomMessage { room, from: luke, text: "three".into(), at: at(8), id: None },
        Fact::DirectMessage { from: yoda, to: name("luke"), text: "four".into(), at: at(9), id: None },
    ];
    append(directory.path(), &facts).expect("appended");
    run(directory.path());
    directory
}

/// A server starts, keeps what it is, and stops.
fn run(data: &Path) {
    run_until(&config(data), || true);
}

/// Likewise, once something is as it should be.
fn run_until(config: &ServerConfig, is_done: impl Fn() -> bool) {
    let (hear, _heard) = mpsc::channel();
    let opened = Opened::open(config, || Instant::ZERO).expect("opened");
    let (machine, mut data) = opened.start(move |input| drop(hear.send(input)));
    let give_up = std::time::Instant::now() + Duration::from_secs(60);
    while !is_done() {
        assert!(std::time::Instant::now() < give_up, "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
    data.save(&machine);
}

fn sql(data: &Path, sql: &str) {
    let connection = Connection::open(log::path(data)).expect("opened");
    connection.execute_batch(sql).expect("executed");
}

/// What is not well.
fn wrong(data: &Path) -> Vec<&'static str> {
    let findings = check(data).expect("readable");
    findings.into_iter().filter(|finding| !finding.is_well).map(|finding| finding.what).collect()
}

#[test]
fn whole_data_is_well_and_each_damage_is_found_where_it_is() {
    let data = filled();
    let all: Vec<_> = check(data.path()).expect("readable").into_iter().map(|finding| finding.what).collect();
    assert_eq!((all, wrong(data.path())), (vec!["structure", "log", "messages", "snapshots"], vec![]));
    for (damage, what) in [
        ("UPDATE log SET body = CAST(replace(body, 'one', 'eno') AS BLOB) WHERE idx = 3", "log"),
        ("DELETE FROM log WHERE idx = 4", "log"),
        ("UPDATE messages SET number = 3 WHERE conversation = 'broadcast' AND number = 2", "messages"),
        ("UPDATE messages SET at = 1 WHERE conversation = 'room/1'", "messages"),
        ("DELETE FROM messages WHERE number = 2", "messages"),
        ("INSERT INTO messages VALUES (1, 'room/9', 1, 1, 1)", "messages"),
        ("UPDATE snapshots SET body = x'01'", "snapshots"),
        ("UPDATE snapshots SET idx = idx + 1", "snapshots"),
    ] {
        let data = filled();
        sql(data.path(), damage);
        assert_eq!(wrong(data.path()), [what], "{damage}");
    }
}

#[test]
fn a_snapshot_of_other_facts_is_not_what_the_log_says() {
    let data = filled();
    sql(data.path(), "UPDATE snapshots SET idx = 6");
    assert_eq!(wrong(data.path()), ["snapshots"]);
}

#[test]
fn a_damaged_page_is_found() {
    let data = filled();
    let path = log::path(data.path());
    let mut content = std::fs::read(&path).expect("read");
    content[3 * 4096..4 * 4096].fill(0xa5);
    std::fs::write(&path, content).expect("written");
    assert_eq!(wrong(data.path()), ["structure"]);
}

#[test]
fn a_backup_is_the_data_and_is_never_written_over_a_file() {
    let data = filled();
    let target = tempfile::tempdir().expect("a directory");
    let file = target.path().join("copy.db");
    let made = backup(data.path(), &file).expect("made");
    assert_eq!((&made.database, made.key), (&file, target.path().join("copy.db.key")));
    for path in [&made.database, &target.path().join("copy.db.key")] {
        assert_eq!(std::fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&file).expect("read");
    for kept in ["copy.db", "copy.db.key"] {
        let refused = backup(data.path(), &file).expect_err("refused").to_string();
        assert!(refused.contains("copy.db"), "{refused}");
        std::fs::rename(target.path().join(kept), target.path().join("aside")).expect("moved");
        assert!(backup(data.path(), &file).is_err(), "the other one is still there");
        std::fs::rename(target.path().join("aside"), target.path().join(kept)).expect("moved back");
    }
    assert_eq!(std::fs::read(&file).expect("read"), before);
    assert_eq!(std::fs::read_dir(target.path()).expect("listed").count(), 2, "nothing else is left");

    let restored = tempfile::tempdir().expect("a directory");
    std::fs::copy(&file, log::path(restored.path())).expect("copied");
    std::fs::copy(target.path().join("copy.db.key"), restored.path().join(KEY_FILE)).expect("copied");
    assert_eq!(wrong(restored.path()), [""; 0]);
    run(restored.path());
    let (mut copied, mut whole) = (stats(restored.path()).expect("read"), stats(data.path()).expect("read"));
    for stats in [&mut copied, &mut whole] {
        (stats.database_bytes, stats.search_bytes) = (0, 0);
    }
    assert_eq!(copied, whole);
}

#[test]
fn damaged_data_is_not_copied() {
    let data = filled();
    sql(data.path(), "UPDATE log SET body = CAST(replace(body, 'one', 'eno') AS BLOB) WHERE idx = 3");
    let target = tempfile::tempdir().expect("a directory");
    let refused = backup(data.path(), &target.path().join("copy.db")).expect_err("refused").to_string();
    assert!(refused.starts_with("fact 3 of "), "{refused}");
    assert_eq!(std::fs::read_dir(target.path()).expect("listed").count(), 0);
}

#[test]
fn stats_count_what_is_there() {
    let data = filled();
    let stats = stats(data.path()).expect("read");
    assert!(stats.database_bytes > 0 && stats.search_bytes > 0);
    let at = |millis| Some(Timestamp::from_millis(millis));
    let expected = Stats {
        accounts: 2,
        rooms: 1,
        broadcasts: 2,
        room_messages: 1,
        direct_messages: 1,
        oldest: at(5),
        newest: at(9),
        facts: 7,
        snapshot: Some(7),
        database_bytes: stats.database_bytes,
        search_bytes: stats.search_bytes,
    };
    assert_eq!(stats, expected);
}

/// Everything in it was said in 1970.
#[test]
fn data_of_which_old_messages_are_forgotten_is_whole_and_starts_again() {
    let data = filled();
    let keeping = ServerConfig { keep: Some(Duration::from_secs(3_600)), ..config(data.path()) };
    let count = || {
        let stats = stats(data.path()).expect("read");
        (stats.broadcasts, stats.room_messages, stats.direct_messages)
    };
    assert_eq!(count(), (2, 1, 1));
    run_until(&keeping, || count() == (0, 0, 0));
    for _ in 0..2 {
        assert_eq!(wrong(data.path()), [""; 0]);
        for log in ["messagelog.txt", "SR_1_messagelog.txt"] {
            assert_eq!(std::fs::read_to_string(data.path().join("logs").join(log)).expect("there"), "");
        }
        // What the next start reads is the log, without a snapshot.
        sql(data.path(), "DELETE FROM snapshots");
        run_until(&keeping, || count() == (0, 0, 0));
    }
    let stats = stats(data.path()).expect("read");
    assert_eq!((stats.accounts, stats.rooms, stats.facts), (2, 1, 7));
}

#[test]
fn where_no_server_was_there_is_nothing_to_look_at() {
    let directory = tempfile::tempdir().expect("a directory");
    for refused in [check(directory.path()).map(|_| ()), stats(directory.path()).map(|_| ())] {
        assert!(refused.expect_err("refused").to_string().starts_with("there is no data of a server in "));
    }
}
