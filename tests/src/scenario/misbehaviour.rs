//! Connections and datagrams that are not what they should be. Whoever misbehaves is closed; nobody else
//! notices.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr};

use toom_core::id::{OfferId, RoomId};
use toom_core::secure::Password;
use toom_core::secure::Suite;
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_FRAME_BYTES, MAX_NAME_BYTES, MAX_REQUESTS_IN_FLIGHT};
use toom_core::wire::message::{HistoryKind, Refusal, ReplyBody, RequestBody};
use toom_core::wire::preamble::Preamble;

use super::steps::{log_in, login_request, password_of, request, start};
use super::transfer::{arrives, send, two_accepting};
use super::world::{ClientId, RawId, World};
use crate::sim::dice::Dice;

/// Another protocol, another version, unknown options.
pub fn a_wrong_greeting_is_closed(world: &mut dyn World) {
    let bystanders = bystanders(world);
    for greeting in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"TOOM\x63\0\0\0",
        b"TOOM\x02\x03\x01\x01",
        b"TOOM\x02\x04\x04\0",
        &[0; 64],
        &[0xff; 64],
    ] {
        let raw = world.connect_raw(None);
        world.write_raw(raw, greeting);
        world.closed_raw(raw);
    }
    undisturbed(world, bystanders);
}

/// Frames that no request has: too long, empty, no MessagePack, something after the message, deep nesting,
/// counts that are not true.
pub fn a_frame_that_is_none_is_closed(world: &mut dyn World) {
    let bystanders = bystanders(world);
    let over = u32::try_from(MAX_FRAME_BYTES + 1).expect("a small limit");
    let mut trailing = request(1, RequestBody::ActiveUsers)[4..].to_vec();
    trailing.push(0xc0);
    let frames = [
        over.to_be_bytes().to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
        vec![0; 4],
        framed(&[0xc1]),
        framed(&trailing),
        framed(&[0x91; 1_000]),
        framed(&[0xdd, 0xff, 0xff, 0xff, 0xff]),
        framed(&[0x92, 0x01, 0xa5, b'W', b'r', b'o', b'n', b'g']),
        framed(&login_request(1, &"x".repeat(MAX_NAME_BYTES + 1), "x")[4..]),
    ];
    for frame in frames {
        let raw = greeted(world);
        world.write_raw(raw, &frame);
        world.closed_raw(raw);
    }
    undisturbed(world, bystanders);
}

/// A frame that comes byte by byte is a frame; one that ends in the middle closes its connection only.
pub fn half_a_frame_harms_nobody(world: &mut dyn World) {
    let bystanders = bystanders(world);
    let login = login_request(1, "leia", &password_of("leia"));
    for length in [1, 3, 4, 5, login.len() - 1] {
        let raw = greeted(world);
        world.write_raw(raw, &login[..length]);
        world.close_raw(raw);
    }
    let preamble = Preamble::new(Suite::AesGcm).encode();
    for length in [0, 1, 7, 8] {
        let raw = world.connect_raw(None);
        world.write_raw(raw, &preamble[..length]);
        world.close_raw(raw);
    }
    let raw = greeted(world);
    for byte in &login {
        world.write_raw(raw, &[*byte]);
    }
    let replies = world.ask_more_raw(raw, &[], 1);
    assert!(matches!(replies[..], [ReplyBody::Welcome { .. }]), "{replies:?}");
    undisturbed(world, bystanders);
}

/// Whoever asks for anything before the login is closed, and nothing is done.
pub fn a_request_before_the_login_is_closed(world: &mut dyn World) {
    let bystanders = bystanders(world);
    for body in [
        RequestBody::Broadcast { text: "from nobody".into() },
        RequestBody::ActiveUsers,
        RequestBody::Logout,
        RequestBody::RoomMessage { room: RoomId(1), text: "from nobody".into() },
    ] {
        let raw = greeted(world);
        world.write_raw(raw, &request(1, body));
        world.closed_raw(raw);
    }
    undisturbed(world, bystanders);
    assert_eq!(world.broadcast(bystanders[0], "the second").1, world.hears(bystanders[1], "the second").1);
}

/// A second login on a connection is refused, and changes nothing.
pub fn a_second_login_on_a_connection_is_refused(world: &mut dyn World) {
    let bystanders = bystanders(world);
    let raw = world.connect_raw(None);
    let logins =
        [login_request(1, "leia", &password_of("leia")), login_request(2, "han", &password_of("han"))].concat();
    let first = world.ask_raw(raw, &logins, 2);
    let refused = |reply: &ReplyBody| matches!(reply, ReplyBody::Refused(Refusal::OutOfOrder));
    assert_eq!(first.iter().filter(|reply| refused(reply)).count(), 1, "{first:?}");
    let later = world.ask_more_raw(raw, &login_request(3, "han", &password_of("han")), 1);
    assert!(later.iter().all(refused), "{later:?}");
    undisturbed(world, bystanders);
}

/// Requests at once, in the flood of them.
const FLOOD: usize = 20 * MAX_REQUESTS_IN_FLIGHT;

/// More requests than may wait for answers close the connection of who sends them.
pub fn a_flood_of_requests_is_closed(world: &mut dyn World) {
    let bystanders = bystanders(world);
    let raw = world.connect_raw(None);
    world.ask_raw(raw, &login_request(1, "leia", &password_of("leia")), 1);
    let post = |id| request(id, RequestBody::Broadcast { text: "flood".into() });
    let flood: Vec<u8> = (0..FLOOD as u64).flat_map(post).collect();
    // A store that is scheduled well enough answers in between, and then nothing is over the limit.
    let closed = (0..100).any(|_| world.replies_raw(raw, &flood, FLOOD).len() < FLOOD);
    assert!(closed, "all of the floods were answered");
    undisturbed(world, bystanders);
}

/// Bytes of all kinds at a client's UDP port while a file crosses: it arrives, and the file after it too.
pub fn stray_datagrams_disturb_no_transfer(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    let file = world.put_file("large.bin", world.large() / 10, 7);
    let id = send(world, yoda, "luke", &file);
    let mut dice = Dice::new(1, "noise");
    for length in (0..1_400).step_by(7) {
        let mut datagram = vec![0; length];
        dice.fill(&mut datagram);
        // Every other one begins like one of ours.
        if let Some(first) = datagram.first_mut().filter(|_| length % 2 == 0) {
            *first = 0b1100_1000;
        }
        world.datagram(luke, &datagram);
        world.datagram(yoda, &datagram);
        // So that they come all through the transfer.
        world.pause(Duration::from_micros(100));
    }
    arrives(world, yoda, luke, id, &file);
    let small = world.put_file("small.bin", 10_000, 8);
    let id = send(world, luke, "yoda", &small);
    arrives(world, luke, yoda, id, &small);
}

/// Many connections that say nothing, or half of something, and go.
pub fn connections_that_come_and_go_harm_nobody(world: &mut dyn World) {
    let bystanders = bystanders(world);
    let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let raws: Vec<RawId> = (0..50).map(|_| world.connect_raw(Some(elsewhere))).collect();
    let preamble = Preamble::new(Suite::AesGcm).encode();
    for (raw, length) in raws.iter().zip((0..=8).cycle()) {
        world.write_raw(*raw, &preamble[..length]);
    }
    undisturbed(world, bystanders);
    for raw in raws {
        world.close_raw(raw);
    }
    undisturbed(world, bystanders);
}

/// So many connections send what `seed` decides: noise, noise after a greeting, requests with a few bytes
/// changed, before and after a login. Some go at once, some wait to be closed.
pub fn random_bytes_harm_nobody(world: &mut dyn World, connections: usize, seed: u64) {
    let bystanders = bystanders(world);
    let mut dice = Dice::new(seed, "noise");
    let mut waiting = Vec::new();
    for _ in 0..connections {
        let raw = world.connect_raw(None);
        if dice.chance(0.8) {
            world.greet_raw(raw);
        }
        let bytes = noise(&mut dice);
        for piece in bytes.chunks(1 + bytes.len() / 3) {
            world.write_raw(raw, piece);
        }
        if dice.chance(0.5) {
            world.close_raw(raw);
        } else {
            waiting.push(raw);
        }
    }
    undisturbed(world, bystanders);
    for raw in waiting {
        world.close_raw(raw);
    }
    undisturbed(world, bystanders);
}

fn noise(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    if dice.chance(0.3) {
        bytes.extend(login_request(1, "leia", &password_of("leia")));
    }
    let start = bytes.len();
    if dice.chance(0.3) {
        bytes.resize(start + dice.within(1..=400) as usize, 0);
        dice.fill(&mut bytes[start..]);
        return bytes;
    }
    for id in 2..2 + dice.within(1..=6) {
        bytes.extend(request(id, any_request(dice)));
    }
    for _ in 0..dice.within(0..=4) {
        let place = dice.within(start as u64..=bytes.len() as u64 - 1) as usize;
        bytes[place] ^= 1 << dice.within(0..=7);
    }
    bytes
}

fn any_request(dice: &mut Dice) -> RequestBody {
    let text = "x".repeat(dice.within(0..=300) as usize);
    let room = RoomId(dice.within(0..=3) as u32);
    let not_before = Timestamp::from_millis(0);
    match dice.within(0..=9) {
        0 => RequestBody::Login { name: "leia".into(), password: Password(text), udp_port: 9 },
        1 => RequestBody::ActiveUsers,
        2 => RequestBody::Rooms,
        3 => RequestBody::RoomMessage { room, text },
        4 => RequestBody::DirectMessage { to: text.clone(), text },
        5 => RequestBody::BuildRoom { users: vec![text; dice.within(0..=300) as usize] },
        6 => RequestBody::Invite { room, user: text },
        7 => RequestBody::Leave { room },
        8 => RequestBody::History { kind: HistoryKind::Broadcast, not_before, after: None },
        _ => RequestBody::WithdrawOffer { offer: OfferId(dice.within(0..=3)) },
    }
}

/// Two who are logged in and have done nothing wrong.
fn bystanders(world: &mut dyn World) -> [ClientId; 2] {
    start(world, &["yoda", "luke", "leia", "han"]);
    [log_in(world, "yoda"), log_in(world, "luke")]
}

/// They still hear each other, and the server takes new clients.
fn undisturbed(world: &mut dyn World, [yoda, luke]: [ClientId; 2]) {
    world.broadcast(yoda, "did you hear something?");
    world.hears(luke, "did you hear something?");
    world.broadcast(luke, "no, nothing");
    world.hears(yoda, "no, nothing");
    let han = log_in(world, "han");
    world.log_out(han);
}

fn greeted(world: &mut dyn World) -> RawId {
    let raw = world.connect_raw(None);
    world.greet_raw(raw);
    raw
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a short body");
    [&length.to_be_bytes(), body].concat()
}
