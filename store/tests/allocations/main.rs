//! Once a transfer is under way, neither end allocates for each packet: a sender for each burst, a receiver for each
//! acknowledgement.

mod ends;

use ends::Allocated;

/// Of a sender: one for each burst of 54 packets.
const BY_SENDER: u64 = 19;
/// Of a receiver: a few for each acknowledgement of three or four bursts.
const BY_RECEIVER: u64 = 15;

#[test]
fn neither_end_allocates_for_each_packet() {
    let directory = tempfile::tempdir().expect("a directory");
    let outcome = ends::transfer(directory.path(), 32 << 20);
    assert!(outcome.packets > 10_000, "{outcome:?}");
    for (Allocated { times, .. }, most) in [(outcome.sender, BY_SENDER), (outcome.receiver, BY_RECEIVER)] {
        assert!(times * 1_000 <= outcome.packets * most, "more than {most} for 1,000 packets: {outcome:?}");
    }
}
