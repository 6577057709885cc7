use super::*;
use crate::secure::PeerSecret;

/// What the responder tells.
const TOLD: [u8; HANDSHAKE_TOLD_BYTES] = [7; HANDSHAKE_TOLD_BYTES];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(5_000_000_000 + millis * 1_000_000)
}

/// One end of a handshake in which `change` may be wrong.
fn end_with(role: Role, change: impl FnOnce(&mut PeerAgreement)) -> Handshake {
    let (local, remote) = match role {
        Role::Initiator => (SecretKey::new([1; 32]), SecretKey::new([2; 32])),
        Role::Responder => (SecretKey::new([2; 32]), SecretKey::new([1; 32])),
    };
    let mut agreement =
        PeerAgreement { remote: remote.public(), shared: PeerSecret([9; 32]), context: [5; 32], suite: Suite::AesGcm };
    change(&mut agreement);
    let indices = [PeerIndex(0x0102_0304), PeerIndex(0x0506_0708)];
    let (local_index, remote_index) = if role == Role::Initiator { indices.into() } else { (indices[1], indices[0]) };
    let setup = HandshakeSetup {
        role,
        local: &local,
        public: &local.public(),
        agreement: &agreement,
        local_index,
        remote_index,
        remote: address(if role == Role::Initiator { 2 } else { 1 }),
        seed: [role as u8 + 7; 32],
    };
    let mut handshake = Handshake::new(at(0), &setup);
    handshake.tell(TOLD);
    handshake
}

fn end(role: Role) -> Handshake {
    end_with(role, |_| {})
}

fn ends() -> (Handshake, Handshake) {
    (end(Role::Initiator), end(Role::Responder))
}

fn sent(handshake: &mut Handshake, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
    core::iter::from_fn(|| handshake.transmit(now)).collect()
}

fn question(initiator: &mut Handshake) -> Vec<u8> {
    sent(initiator, at(0)).remove(0).1
}

#[test]
fn the_bytes_of_the_first_datagram_are_those_of_the_document() {
    let question = question(&mut end(Role::Initiator));
    assert_eq!(question.len(), 1_200);
    assert_eq!(question[..9], [0xd8, 5, 6, 7, 8, 1, 2, 3, 4]);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let ephemeral = "18b7279e7599928f72e167111e89af25fbdff045bd6faa83425ab2d1468c8b67";
    assert_eq!(hex(&question[9..41]), ephemeral);
    assert_eq!(hex(&question[41..57]), "1ae8971c8b685aa82638fafea8fef7c1");
    assert!(question[57..1_184].iter().all(|byte| *byte == 0));
    assert_eq!(hex(&question[1_184..]), "091d2984c403259c7fbce5b7f34e56d2");
}

/// The answer and the packets are those that another implementation of Noise makes of the same keys
/// (`tests/crosscheck/peer.py`).
#[test]
fn the_answer_and_the_packets_of_another_implementation_are_understood() {
    use crate::wire::packet::Header;
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let mut initiator = end(Role::Initiator);
    question(&mut initiator);
    let mut answer = hex(concat!(
        "d90102030405060708",
        "97c3b10b4d6c133a78ea5dcc1cf6421d3f81ae37b1f628ce14ca6fce7730f333",
        "ecec0ac096bb1d5514952380e8a55b01be20b64c8e7780e74e35e8792857df2a",
        "8876fe3d21694a2d19ca9806a414ac16d3eaf58abe50ec2e",
    ));
    answer.resize(1_184, 0);
    answer.extend(hex("198f97010a3e80c37a81f50fa62c9318"));
    let heard = initiator.receive(at(40), address(2), &answer);
    let Heard::Agreed { keys, told: Some(TOLD), .. } = heard else { panic!("{heard:?}") };
    let mut opening = keys.opening();
    for packet in [
        "d0010203040000000000000007fe57709520ea22dbfcabb584089dc2987314b2d238",
        "d1010203040000000000000008fcd6aa528849d69391fe291cfe1b7a859c1d36b174",
    ] {
        let mut packet = hex(packet);
        let header = Header::decode(&packet).unwrap();
        assert_eq!(opening.open(&header, &mut packet).as_deref(), Some(&b"hello"[..]));
    }
}

#[test]
fn both_ends_agree_and_open_what_the_other_sealed() {
    for suite in Suite::ALL {
        let [mut initiator, mut responder] =
            [Role::Initiator, Role::Responder].map(|role| end_with(role, |agreement| agreement.suite = suite));
        assert_eq!((initiator.deadline(), responder.deadline()), (Some(at(0)), None));
        let [(to, question)] = &sent(&mut initiator, at(0))[..] else { panic!("one datagram") };
        assert_eq!((*to, responder.transmit(at(0))), (address(2), None), "nothing unasked");
        let heard = responder.receive(at(1), address(7), question);
        let Heard::Agreed { keys: theirs, round_trip: None, told: None } = heard else { panic!("no agreement") };
        let [(to, answer)] = &sent(&mut responder, at(1))[..] else { panic!("one answer") };
        assert_eq!((*to, answer.len()), (address(7), question.len()), "where it was asked from, and no more");
        let heard = initiator.receive(at(40), address(2), answer);
        let Heard::Agreed { keys: ours, round_trip, told } = heard else { panic!("no agreement") };
        assert_eq!((round_trip, told), (Some(Duration::from_millis(40)), Some(TOLD)));
        assert_ne!(ours, theirs, "each direction has its own");
        assert_eq!((initiator.deadline(), initiator.transmit(at(9_000))), (None, None));
        assert_eq!(initiator.receive(at(41), address(2), answer), Heard::Refused, "once is enough");
        crosses(suite, &ours, &theirs);
        crosses(suite, &theirs, &ours);
    }
}

/// What one end seals the other one opens.
fn crosses(suite: Suite, from: &PacketKeys, to: &PacketKeys) {
    use crate::wire::packet::{Header, PacketNumber};
    let header = Header { epoch: 0, index: PeerIndex(1), number: PacketNumber(3) };
    let mut packet = [&header.encode()[..], b"hello", &[0; 16]].concat();
    from.sealing().seal(header.number, &mut packet);
    assert_eq!(to.opening().open(&header, &mut packet).as_deref(), Some(&b"hello"[..]), "{suite:?}");
}

#[test]
fn who_disagrees_about_anything_is_not_answered() {
    type Change = fn(&mut PeerAgreement);
    let changes: [(Change, &str); 4] = [
        (|agreement| agreement.context[0] ^= 1, "what it is about"),
        (|agreement| agreement.shared.0[0] ^= 1, "the secret"),
        (|agreement| agreement.suite = Suite::ChaChaPoly, "the cipher"),
        (|agreement| agreement.remote = SecretKey::new([3; 32]).public(), "the device"),
    ];
    for (change, what) in changes {
        let mut responder = end_with(Role::Responder, change);
        assert_eq!(
            responder.receive(at(1), address(1), &question(&mut end(Role::Initiator))),
            Heard::Refused,
            "{what}"
        );
        assert_eq!(responder.transmit(at(1)), None);
        let mut initiator = end_with(Role::Initiator, change);
        let (mut one, mut other) = ends();
        other.receive(at(1), address(1), &question(&mut one));
        let (_, answer) = other.transmit(at(1)).unwrap();
        assert_eq!(initiator.receive(at(1), address(2), &answer), Heard::Refused, "{what}");
    }
}

#[test]
fn a_datagram_without_the_right_mac_costs_no_multiplication_and_has_no_answer() {
    let (mut initiator, mut responder) = ends();
    let question = question(&mut initiator);
    for bit in (0..question.len() * 8).step_by(7) {
        let mut bent = question.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(responder.receive(at(1), address(1), &bent), Heard::Refused);
    }
    for length in [0, 1, 57, 1_199] {
        assert_eq!(responder.receive(at(1), address(1), &question[..length]), Heard::Refused);
    }
    let Side::Responder(answering) = &responder.side else { panic!("a responder") };
    assert_eq!(answering.looked_at, 0, "none of them was looked at");
    assert_eq!(initiator.receive(at(1), address(2), &question), Heard::Refused, "one's own comes back");
    assert!(matches!(responder.receive(at(1), address(1), &question), Heard::Agreed { .. }));
}

#[test]
fn nothing_is_answered_before_it_is_known_what_to_tell() {
    let (mut initiator, mut responder) = ends();
    let Side::Responder(answering) = &mut responder.side else { panic!("a responder") };
    answering.tell = None;
    let question = question(&mut initiator);
    assert_eq!(responder.receive(at(0), address(1), &question), Heard::NotReady);
    assert_eq!((responder.transmit(at(0)), responder.deadline()), (None, None));
    responder.tell(TOLD);
    assert!(matches!(responder.receive(at(1), address(1), &question), Heard::Agreed { .. }));
    let (_, answer) = responder.transmit(at(1)).unwrap();
    assert!(matches!(initiator.receive(at(2), address(2), &answer), Heard::Agreed { told: Some(TOLD), .. }));
}

#[test]
fn the_question_is_repeated_less_and_less_often() {
    let mut initiator = end(Role::Initiator);
    let mut times = Vec::new();
    while times.len() < 6 {
        let now = initiator.deadline().unwrap();
        times.push(now.saturating_since(at(0)).as_millis());
        assert_eq!(sent(&mut initiator, now).len(), 1);
    }
    assert_eq!(times, [0, 300, 900, 1_900, 2_900, 3_900]);
}

#[test]
fn a_repeated_question_has_the_same_answer_from_wherever_it_comes_but_not_too_often() {
    let (mut initiator, mut responder) = ends();
    let question = question(&mut initiator);
    assert!(matches!(responder.receive(at(0), address(1), &question), Heard::Agreed { .. }));
    let (_, answer) = responder.transmit(at(0)).unwrap();
    let mut answers = 1;
    for copy in 0..100 {
        let heard = responder.receive(at(copy), address(3), &question);
        assert_eq!(heard == Heard::Repeated, answers < ANSWERS_PER_SECOND);
        for (to, again) in sent(&mut responder, at(copy)) {
            assert_eq!((to, &again), (address(3), &answer));
            answers += 1;
        }
    }
    assert_eq!((answers, responder.deadline()), (ANSWERS_PER_SECOND, None));
    assert_eq!(responder.receive(at(1_000), address(1), &question), Heard::Repeated);
}

#[test]
fn another_question_with_a_right_mac_changes_nothing() {
    let (mut initiator, mut responder) = ends();
    let question = question(&mut initiator);
    assert!(matches!(responder.receive(at(0), address(1), &question), Heard::Agreed { .. }));
    let (_, answer) = responder.transmit(at(0)).unwrap();
    let header = initiator.header;
    let other = datagram(&header, &[7; HANDSHAKE_MESSAGE_BYTES], &initiator.mac);
    assert_eq!(responder.receive(at(1), address(1), &other), Heard::Refused);
    assert_eq!(responder.transmit(at(1)), None);
    assert_eq!(responder.receive(at(2), address(1), &question), Heard::Repeated);
    assert_eq!(responder.transmit(at(2)), Some((address(1), answer)));
}
