use super::super::testing::{Stage, name};
use super::*;
use toom_core::client::command::Command;

/// `b` has client 0 and heard that it is welcome; `a` has written something to all and something to `b`.
fn stage() -> (Stage, VecDeque<ServerMessage>) {
    let mut stage = Stage::new(&["a", "b"]);
    let [a] = stage.all(["a"]);
    let b = stage.client(0);
    stage.all(["b"]);
    stage.broadcast(a, "one");
    stage.ask(a, RequestBody::DirectMessage { to: "b".into(), text: "two".into() });
    let mut sent = stage.sent(b);
    stage.client_hears(0, sent.pop_front().expect("a welcome"));
    (stage, sent)
}

/// What a client shows of an event.
fn as_shown(message: &ServerMessage) -> Event {
    match message.clone() {
        ServerMessage::Event(Sent::Broadcast { number, at, from, text }) => Event::Broadcast { number, at, from, text },
        ServerMessage::Event(Sent::DirectMessage { number, at, from, text }) => {
            Event::DirectMessage { number, at, from, text }
        }
        other => panic!("{other:?}"),
    }
}

/// The client hears a message, and shows it so many times.
fn hear(stage: &mut Stage, message: &ServerMessage, times: usize) {
    stage.client_hears(0, message.clone());
    for _ in 0..times {
        stage.client_shows(0, as_shown(message));
    }
}

fn received(through: u64) -> RequestBody {
    RequestBody::DirectReceived { from: name("a"), through: MessageNumber(through) }
}

#[test]
fn a_client_that_shows_everything_once_is_right() {
    let (mut stage, sent) = stage();
    hear(&mut stage, &sent[0], 1);
    hear(&mut stage, &sent[1], 1);
    stage.client_sends(0, 2, received(1));
    assert_eq!(stage.broken(), None);
}

#[test]
fn something_shown_twice_or_not_at_all_is_found() {
    for (first, second) in [(2, 1), (0, 1), (1, 2)] {
        let (mut stage, sent) = stage();
        hear(&mut stage, &sent[0], first);
        hear(&mut stage, &sent[1], second);
        assert_eq!(stage.broken(), Some(SHOWN_ONCE), "{first} {second}");
    }
}

#[test]
fn something_lost_or_overtaken_on_the_way_is_found() {
    let (mut stage, sent) = stage();
    stage.client_hears(0, sent[1].clone());
    assert_eq!(stage.broken(), Some(ARRIVES));
}

#[test]
fn something_that_never_arrives_is_found_at_the_end() {
    let mut stage = Stage::new(&["a"]);
    let a = stage.client(0);
    stage.all(["a"]);
    let mut sent = stage.sent(a);
    assert_eq!(stage.broken(), None);
    stage.ask(a, RequestBody::Rooms);
    stage.client_hears(0, sent.pop_front().expect("a welcome"));
    let mut shown = Shown::default();
    // Presence would be found first.
    shown.clients.insert(0, Screen::new(a));
    shown.under_way.insert(a, VecDeque::from([Arc::new(stage.sent(a)[0].clone())]));
    let mut model = Model::default();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let accepted = toom_core::server::io::Input::Accepted { connection: a, address };
    let now = toom_core::time::Instant::ZERO;
    model.follow(now, &Observation::ServerHears(&accepted));
    let device = toom_core::secure::PublicKey([1; 32]);
    let connected = toom_core::server::io::Input::Connected { connection: a, address, device };
    model.follow(now, &Observation::ServerHears(&connected));
    assert_eq!(shown.finish(&model).map_err(|broken| broken.invariant), Err(ARRIVES));
}

#[test]
fn a_receipt_for_more_than_was_shown_is_found() {
    let (mut stage, sent) = stage();
    hear(&mut stage, &sent[0], 1);
    hear(&mut stage, &sent[1], 1);
    stage.client_sends(0, 2, received(2));
    assert_eq!(stage.broken(), Some(RECEIPT));
}

#[test]
fn a_confirmation_told_twice_wrong_or_for_another_post_is_found() {
    let tell = |events: &[(PostKind, u64)]| {
        let mut stage = Stage::new(&["a", "b"]);
        let a = stage.client(0);
        stage.all(["a"]);
        for _ in events {
            stage.client_is_asked(0, Command::Broadcast { text: "x".into() });
        }
        stage.client_sends(0, 2, RequestBody::Broadcast { text: "x".into() });
        stage.broadcast(a, "x");
        for message in stage.sent(a) {
            stage.client_hears(0, message);
        }
        for (kind, number) in events {
            let at = Timestamp::from_millis(1_000_000);
            stage.client_shows(0, Event::Sent { kind: kind.clone(), number: MessageNumber(*number), at });
        }
        stage.broken()
    };
    let broadcast = |number| (PostKind::Broadcast, number);
    assert_eq!(tell(&[broadcast(1)]), None);
    assert_eq!(tell(&[broadcast(2)]), Some(CONFIRMED));
    assert_eq!(tell(&[broadcast(1), broadcast(1)]), Some(CONFIRMED));
    assert_eq!(tell(&[(PostKind::Direct("b".into()), 1)]), Some(CONFIRMED));
}
