//! Other ends that break the rules, are slow, or say nothing: nobody else is disturbed.

mod common;

use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use common::{PATIENCE, Person, Stranger, World, greeted, login_frame, raw, read_to_end};
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::id::RequestId;
use toom_core::server::activity::Activity;
use toom_core::wire::codec::encode;
use toom_core::wire::limits::{MAX_OUTBOX_BYTES, MAX_TEXT_BYTES};
use toom_core::wire::message::{Reply, ReplyBody, Request, RequestBody, ServerMessage};
use toom_std::server::Counters;

/// `luke` hears what `yoda` broadcasts.
fn can_talk(yoda: &Person, luke: &mut Person, text: &str) {
    yoda.broadcast(text);
    luke.find(|event| matches!(event, Event::Broadcast { text: heard, .. } if heard == text).then_some(()));
}

#[test]
fn connections_that_break_the_protocol_are_closed_and_disturb_nobody() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, mut luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));

    let mut http = raw(&world);
    http.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut other_version = raw(&world);
    other_version.write_all(b"TOOM\x07\0\0\0").unwrap();
    let mut oversized = greeted(&world);
    oversized.write(&[0xff; 4]).unwrap();
    let mut garbage = greeted(&world);
    garbage.write(&[0, 0, 0, 3, 0xc1, 0xc1, 0xc1]).unwrap();
    let mut in_clear = greeted(&world);
    in_clear.stream.write_all(&login_frame("yoda")).unwrap();
    let mut half = greeted(&world);
    half.write(&login_frame("yoda")[..10]).unwrap();
    half.stream.shutdown(std::net::Shutdown::Write).unwrap();

    for stream in [http, other_version, oversized.stream, garbage.stream, in_clear.stream, half.stream] {
        assert_eq!(read_to_end(stream), []);
    }
    can_talk(&yoda, &mut luke, "still here");
    let counters = world.server.as_ref().unwrap().counters();
    assert_eq!(counters, Counters { accepted: 8, violations: 6, ..Counters::default() });
}

#[test]
fn what_was_written_last_is_read_also_by_one_who_goes_on_writing() {
    let world = World::new(&["yoda", "luke"]);
    let mut yoda = Stranger::greet(small_window(&world), world.server.as_ref().unwrap().key());
    yoda.write(&login_frame("yoda")).unwrap();
    world.until(|activity| matches!(activity, Activity::LoggedIn(_)));
    // More than the connection holds at once, and less than it may be behind.
    let mut luke = Person::login(&world, "luke");
    for _ in 0..20 {
        luke.broadcast(&"z".repeat(MAX_TEXT_BYTES));
        luke.find(|event| matches!(event, Event::Sent { .. }).then_some(()));
    }
    let request = |id, body| encode(&Request { id: RequestId(id), body });
    yoda.write(&request(2, RequestBody::Logout)).unwrap();
    world.until(|activity| matches!(activity, Activity::LoggedOut { .. }));
    // Nobody will answer this; but a connection that is closed already would answer it with a reset.
    for id in 3..100 {
        yoda.write(&request(id, RequestBody::ActiveUsers)).unwrap();
    }
    let said = yoda.read_to_end().expect("the end, and no reset");
    assert!(said.ends_with(&encode(&ServerMessage::Reply(Reply { id: RequestId(2), body: ReplyBody::Bye }))));
    assert!(said.len() > 20 * MAX_TEXT_BYTES);
}

#[test]
fn a_request_before_the_login_closes_the_connection() {
    let world = World::new(&[]);
    let mut stranger = greeted(&world);
    stranger.write(&encode(&Request { id: RequestId(1), body: RequestBody::ActiveUsers })).unwrap();
    read_to_end(stranger.stream);
    world.until(|activity| matches!(activity, Activity::Closed { .. }));
}

#[test]
fn a_reader_that_never_reads_is_cut_off_and_the_others_get_everything() {
    let world = World::new(&["yoda", "luke", "sloth"]);
    let (mut yoda, mut luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));
    let mut sloth = Stranger::greet(small_window(&world), world.server.as_ref().unwrap().key());
    sloth.write(&login_frame("sloth")).unwrap();
    world.until(|activity| matches!(activity, Activity::LoggedIn(presence) if presence.name.as_str() == "sloth"));

    // Kernel buffers come on top of the outbox, and their size is the system's business: send until it is over.
    let text = "z".repeat(MAX_TEXT_BYTES);
    let at_least = MAX_OUTBOX_BYTES / MAX_TEXT_BYTES;
    let mut sent = 0;
    loop {
        yoda.broadcast(&text);
        sent += 1;
        yoda.find(|event| matches!(event, Event::Sent { .. }).then_some(()));
        let mut activities = world.activity.try_iter();
        if activities.any(|activity| matches!(activity, Activity::LoggedOut { user, .. } if user.as_str() == "sloth")) {
            break;
        }
        assert!(sent < 10 * at_least, "{sent} messages, and the reader that does not read is still there");
    }
    assert!(sent > at_least, "cut off after {sent} messages already");
    assert_eq!(world.server.as_ref().unwrap().counters().slow_readers, 1);
    for number in 1..=sent as u64 {
        luke.find(|event| matches!(event, Event::Broadcast { number: n, .. } if n.0 == number).then_some(()));
    }
    can_talk(&yoda, &mut luke, "at last");
}

/// A connection into which little fits.
fn small_window(world: &World) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&world.address.into()).unwrap();
    socket.into()
}

#[test]
fn random_datagrams_at_the_udp_port_disturb_nobody() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, mut luke) = (Person::login(&world, "yoda"), Person::login(&world, "luke"));
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 1u64;
    for length in (0..200).chain([1_200, 9_000, 60_000]) {
        let datagram: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        for person in [&yoda, &luke] {
            stranger.send_to(&datagram, ("127.0.0.1", person.client.udp_port())).unwrap();
        }
    }
    can_talk(&yoda, &mut luke, "still here");
    luke.give(Command::ActiveUsers);
    luke.find(|event| matches!(event, Event::ActiveUsers(users) if users.len() == 1).then_some(()));
}

#[test]
fn stopping_does_not_wait_for_silent_connections() {
    let mut world = World::new(&["yoda"]);
    let silent = raw(&world);
    let idle = greeted(&world);
    let mut in_a_frame = greeted(&world);
    in_a_frame.write(&login_frame("yoda")[..10]).unwrap();
    let mut deaf = Stranger::greet(small_window(&world), world.server.as_ref().unwrap().key());
    deaf.write(&login_frame("yoda")).unwrap();
    world.until(|activity| matches!(activity, Activity::LoggedIn(_)));
    let begun = std::time::Instant::now();
    world.stop();
    assert!(begun.elapsed() < PATIENCE / 2);
    for stream in [silent, idle.stream, in_a_frame.stream] {
        read_to_end(stream);
    }
}
