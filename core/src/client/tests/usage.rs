//! What a client tells of its limits.

use super::receiving::receiving;
use super::*;
use crate::machine::usage_told;
use crate::wire::message::HistoryKind;

/// What grows, how much there is of it, and how much there may be. Whoever adds a table adds it here.
#[test]
fn everything_that_grows_is_told_with_its_limit() {
    let mut world = receiving();
    world.command(broadcast("x"));
    world.command(Command::History { kind: HistoryKind::Rooms, since: AT });
    assert_eq!(
        usage_told(&world.client),
        [
            "answers to changes: 1 of 240",
            "commands that wait: 1 of 4096",
            "files from others: 1 of 64",
            "files to others: 0 of 64",
            "keys of one person: 1 of 33",
            "offers and transfers: 1 of 384",
            "offers of others: 0 of 256",
            "people who are known: 1 of 4096",
            "people whose messages were shown: 0 of 65536",
            "requests in flight: 1 of 256",
            "requests of commands in flight: 1 of 240",
            "requests of one's own that wait: 0 of 1024",
            "rooms that were left, with a position: 0 of 1024",
            "rooms with a position: 0 of 1024",
            "safety numbers that were shown: 0 of 64",
            "transfers with who has left: 0 of 128",
        ]
    );
}
