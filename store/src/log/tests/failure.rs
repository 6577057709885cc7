//! A commit that fails ends writing, and only writing.

use super::*;

/// A log whose database cannot grow, as on a full disk. It has one broadcast, which is indexed.
fn full(data: &Path) -> Running {
    let log = Running::open(data);
    log.commit(broadcast("one"));
    log.handle.record(&message(1, 1, "one"));
    log.stop();
    let mut log = Log::open(data).expect("opened");
    log.replay(|_| {}).expect("replayed");
    let pages: i64 = log.connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("counted");
    log.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).expect("limited");
    Running::start(log)
}

fn too_large() -> Fact {
    broadcast(&"x".repeat(16_000))
}

#[test]
fn a_full_disk_is_said_once_and_every_later_proposal_fails() {
    let data = directory();
    let log = full(data.path());
    log.handle.propose(Ticket(1), too_large());
    let Completion::StoppedWriting { reason } = log.next() else { panic!("StoppedWriting expected") };
    assert_eq!(reason, format!("{} cannot be written: the disk is full", path(data.path()).display()));
    assert!(matches!(log.next(), Completion::ProposalFailed { ticket: Ticket(1) }));
    for ticket in 2..5 {
        log.handle.propose(Ticket(ticket), broadcast("small"));
        assert!(matches!(log.next(), Completion::ProposalFailed { ticket: Ticket(failed) } if failed == ticket));
    }
    assert_eq!(log.broadcasts(), [message(1, 1, "one")], "reading goes on");
    assert!(log.stop().is_empty());
    assert_eq!(replayed(data.path()).len(), 1);
}

#[test]
fn what_was_not_committed_is_not_reported_and_not_kept() {
    let data = directory();
    let log = full(data.path());
    // Holding SQLite's write lock for a moment lets a batch come together.
    let other = Connection::open(path(data.path())).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    log.handle.propose(Ticket(1), broadcast("small"));
    log.handle.propose(Ticket(2), broadcast("small"));
    log.handle.propose(Ticket(3), too_large());
    log.handle.propose(Ticket(4), broadcast("small"));
    other.execute_batch("ROLLBACK").expect("unlocked");

    let (mut committed, mut failed, mut stopped) = (Vec::new(), Vec::new(), 0);
    while committed.len() + failed.len() < 4 {
        match log.next() {
            Completion::Committed(fact) => committed.push(fact.ticket.expect("ours")),
            Completion::ProposalFailed { ticket } => failed.push(ticket),
            Completion::StoppedWriting { .. } => stopped += 1,
            other @ (Completion::Found { .. } | Completion::Forgotten { .. }) => panic!("{other:?}"),
        }
    }
    assert!(log.stop().is_empty());
    assert_eq!(stopped, 1);
    assert!(failed.ends_with(&[Ticket(3), Ticket(4)]), "{failed:?}");
    assert_eq!([&committed[..], &failed[..]].concat(), [Ticket(1), Ticket(2), Ticket(3), Ticket(4)]);
    assert_eq!(replayed(data.path()).len(), 1 + committed.len());
}

#[test]
fn a_message_that_was_confirmed_but_could_not_be_indexed_is_still_found() {
    let data = directory();
    let log = full(data.path());
    let committed = log.commit(broadcast("two"));
    log.handle.propose(Ticket(1), too_large());
    assert!(matches!(log.next(), Completion::StoppedWriting { .. }));
    assert!(matches!(log.next(), Completion::ProposalFailed { .. }));
    let two = message(committed.index.0, 2, "two");
    log.handle.record(&two);
    assert_eq!(log.broadcasts(), [message(1, 1, "one"), two.clone()]);
    log.stop();
    // After a restart the machine records it again.
    let log = Running::open(data.path());
    assert_eq!(log.broadcasts(), [message(1, 1, "one")]);
    log.handle.record(&two);
    assert_eq!(log.broadcasts(), [message(1, 1, "one"), two]);
}

/// Whoever is removed while the disk is full must not stay.
#[test]
fn what_others_append_when_there_is_room_again_is_still_heard() {
    let data = directory();
    let log = full(data.path());
    log.handle.propose(Ticket(1), too_large());
    assert!(matches!(log.next(), Completion::StoppedWriting { .. }));
    assert!(matches!(log.next(), Completion::ProposalFailed { .. }));
    append(data.path(), &[account("luke")]).expect("appended by somebody for whom there is room");
    let heard = log.next_committed();
    assert_eq!((heard.index, heard.ticket, heard.fact), (LogIndex(2), None, account("luke")));
}
