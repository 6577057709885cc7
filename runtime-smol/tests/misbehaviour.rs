//! Other ends that break the rules: they are cut off, and nobody else notices.

mod world;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use toom_core::client::event::Event;
use toom_core::id::RequestId;
use toom_core::secure::{SecretKey, Suite};
use toom_core::wire::codec::encode;
use toom_core::wire::limits::MAX_TEXT_BYTES;
use toom_core::wire::message::{Reply, ReplyBody, Request, RequestBody, ServerMessage};
use toom_core::wire::preamble::Preamble;
use world::{DEADLINE, Person, Stranger, World, eventually, login_frame};

/// Waits until the server has ended `stream`.
fn wait_for_end(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the server did not end the connection: {error}"),
        }
    }
}

/// Shows that these two can still talk.
fn converse(a: &Person, b: &Person, text: &str) {
    a.broadcast(text);
    assert_eq!(b.next_broadcast().1, text);
}

#[test]
fn bad_greetings_and_frames_end_their_own_connection_only() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    for (count, (past_greeting, bytes)) in [
        (false, &b"GET / HTTP/1.1\r\nHost: toom\r\n\r\n"[..]),
        (false, b"TOOM\x63\0\0\0"),
        (true, &[0xff; 64]),
        (true, &[0, 0, 0, 0]),
        (true, &[0, 0, 0, 3, 0xc1, 0xc1, 0xc1]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = match past_greeting {
            true => {
                let mut stranger = world.stranger();
                stranger.write(bytes).unwrap();
                stranger.stream
            }
            false => {
                let mut stream = TcpStream::connect(world.server().address()).unwrap();
                stream.write_all(bytes).unwrap();
                stream
            }
        };
        wait_for_end(&mut stream);
        eventually("it is counted", || world.server().counters().violations == count as u64 + 1);
        converse(&yoda, &luke, &format!("still here after {count}"));
    }
}

#[test]
fn half_a_frame_and_then_the_end_is_a_violation_and_the_end_between_frames_is_not() {
    let world = World::new(&["yoda", "luke"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    drop(world.stranger());
    let mut stream = world.stranger();
    stream.write(&login_frame("nobody")[..10]).unwrap();
    drop(stream);
    eventually("it is counted", || world.server().counters().violations == 1);
    converse(&yoda, &luke, "still here");
    assert_eq!(world.server().counters().violations, 1);
}

#[test]
fn what_was_written_last_is_read_also_by_one_who_goes_on_writing() {
    let world = World::new(&["yoda", "luke"]);
    let luke = world.person("luke");
    let mut yoda = Stranger::greet(small_window(&world), world.server().key());
    yoda.write(&login_frame("yoda")).unwrap();
    luke.wait_for("yoda to come", |event| matches!(event, Event::Joined { .. }).then_some(()));
    // More than the connection holds at once, and less than it may be behind.
    for _ in 0..20 {
        luke.broadcast(&"z".repeat(MAX_TEXT_BYTES));
        luke.wait_for("a confirmation", |event| matches!(event, Event::Sent { .. }).then_some(()));
    }
    let request = |id, body| encode(&Request { id: RequestId(id), body });
    yoda.write(&request(2, RequestBody::Logout)).unwrap();
    luke.wait_for("yoda to go", |event| matches!(event, Event::Left { .. }).then_some(()));
    // Nobody will answer this; but a connection that is closed already would answer it with a reset.
    for id in 3..100 {
        yoda.write(&request(id, RequestBody::ActiveUsers)).unwrap();
    }
    let said = yoda.read_to_end().expect("the end, and no reset");
    assert!(said.ends_with(&encode(&ServerMessage::Reply(Reply { id: RequestId(2), body: ReplyBody::Bye }))));
    assert!(said.len() > 20 * MAX_TEXT_BYTES);
}

/// A connection into which little fits.
fn small_window(world: &World) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&world.server().address().into()).unwrap();
    socket.into()
}

#[test]
fn a_reader_that_never_reads_is_cut_off_and_the_others_get_everything() {
    let world = World::new(&["yoda", "luke", "jabba"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    let mut jabba = world.stranger();
    jabba.write(&login_frame("jabba")).unwrap();
    yoda.wait_for("jabba", |event| matches!(event, Event::Joined { .. }).then_some(()));
    let text = "x".repeat(MAX_TEXT_BYTES);
    let mut sent = 0;
    // More than the kernel's buffers and the server's outbox can hold.
    while world.server().counters().slow_readers == 0 {
        assert!(sent < 4_000, "jabba is still there after {sent} broadcasts");
        for _ in 0..50 {
            yoda.broadcast(&text);
        }
        for _ in 0..50 {
            sent += 1;
            assert_eq!(luke.next_broadcast().0, sent);
        }
    }
    converse(&yoda, &luke, "he is gone");
}

#[test]
fn a_stop_ends_within_its_deadline_whatever_the_other_ends_do() {
    let mut world = World::new(&["yoda", "luke", "jabba"]);
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    let _silent = TcpStream::connect(world.server().address()).unwrap();
    let mut jabba = world.stranger();
    jabba.write(&login_frame("jabba")).unwrap();
    yoda.wait_for("jabba", |event| matches!(event, Event::Joined { .. }).then_some(()));
    let text = "x".repeat(MAX_TEXT_BYTES);
    for _ in 0..200 {
        yoda.broadcast(&text);
    }
    luke.next_broadcast();
    let started = Instant::now();
    world.server.take().unwrap().stop();
    // Commits under way and the grace of a connection that does not read: bounded by seconds, not by the peer.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    for person in [yoda, luke] {
        person.wait_for("the end", |event| matches!(event, Event::ConnectionLost { .. }).then_some(()));
        person.client.join();
    }
}

#[test]
fn a_preamble_byte_by_byte_is_a_preamble() {
    let world = World::new(&["yoda"]);
    let mut stream = TcpStream::connect(world.server().address()).unwrap();
    stream.set_nodelay(true).unwrap();
    let preamble = Preamble::new(Suite::ChaChaPoly);
    // Any 32 bytes are an ephemeral key.
    for byte in preamble.encode().into_iter().chain([7; 32]) {
        stream.write_all(&[byte]).unwrap();
    }
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut reply = [0; 8];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply, preamble.encode());
}

#[test]
fn an_unreachable_server_is_said_in_one_sentence() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let config = toom_core::config::ClientConfig {
        server: free.to_string(),
        udp_port: 0,
        downloads: ".".into(),
        accept: toom_core::client::io::AcceptPolicy::None,
        device: SecretKey::new([1; 32]),
        server_key: None,
        known_people: None,
        seed: world::rand_seed(),
        reconnect: false,
        transfers: toom_core::config::TransferConfig::default(),
    };
    let error = toom_smol::client::start(config, |_| {}).unwrap_err();
    assert!(matches!(error, toom_smol::client::ClientError::Unreachable(_)), "{error:?}");
    assert_eq!(error.to_string(), format!("the server at {free} cannot be reached: nothing accepts connections there"));
}
