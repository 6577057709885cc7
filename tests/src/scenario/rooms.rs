//! `SRB`, `SRM`, `INVITE`, `LEAVE`, `ROOMS`.

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure};
use toom_core::id::{MessageNumber, RoomId};
use toom_core::wire::message::RoomInfo;

use super::steps::{build_room, log_in, start, users};
use super::world::{ClientId, World};

/// A room has an id from 1, its builder and the others are members, and all of them are told.
pub fn a_room_is_built_of_oneself_and_others(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia", "han"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke", "leia"]);
    assert_eq!((room.room, &room.members), (RoomId(1), &users(&["yoda", "luke", "leia"])));
    for client in [luke, leia] {
        assert_eq!(told_of_room(world, client), room);
    }
    assert_eq!(world.build_room(luke, &["yoda"]).room, RoomId(2));
    world.until("both rooms have a log", |world| {
        [1, 2].into_iter().all(|room| world.message_log(Some(RoomId(room))) == Some(String::new()))
    });
    assert_eq!(world.message_log(Some(RoomId(3))), None);
}

/// All unknown users are told, before anyone offline is, and nothing is built.
pub fn unknown_users_are_all_told(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let yoda = log_in(world, "yoda");
    log_in(world, "luke");
    let command = build_room(&["luke", "nobody", "leia", "no-one", "nobody"]);
    match world.fails(yoda, command) {
        Failure::NoSuchUser(names) => assert_eq!(sorted(&names), ["no-one", "nobody"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(rooms_of(world, yoda), []);
}

/// All who are offline are told, and nothing is built.
pub fn offline_users_are_all_told(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia", "han"]);
    let yoda = log_in(world, "yoda");
    log_in(world, "luke");
    match world.fails(yoda, build_room(&["leia", "luke", "han"])) {
        Failure::UserOffline(names) => assert_eq!(sorted(&names), users(&["leia", "han"])),
        other => panic!("{other:?}"),
    }
    assert_eq!(rooms_of(world, yoda), []);
}

/// The same set of members has one room, whoever asks and in whatever order, repetitions and oneself ignored.
pub fn the_same_members_have_one_room(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke", "leia"]);
    for (client, others) in [
        (yoda, vec!["leia", "luke"]),
        (yoda, vec!["leia", "yoda", "luke", "leia"]),
        (luke, vec!["yoda", "leia"]),
        (leia, vec!["luke", "yoda"]),
    ] {
        world.command(client, build_room(&others));
        let found = world.pick(client, "the room that exists", |event| match event {
            Event::RoomExists(found) => Some(found.clone()),
            _ => None,
        });
        assert_eq!(found, room);
    }
}

/// A room needs somebody else.
pub fn a_room_of_oneself_is_refused(world: &mut dyn World) {
    start(world, &["yoda"]);
    let yoda = log_in(world, "yoda");
    for others in [vec![], vec!["yoda"], vec!["yoda", "yoda"]] {
        assert_eq!(world.fails(yoda, build_room(&others)), Failure::NobodyElse, "{others:?}");
    }
    assert_eq!(rooms_of(world, yoda), []);
}

/// Members hear what is written in their room, numbered from 1 in each room; others do not.
pub fn only_members_hear_a_room(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let first = world.build_room(yoda, &["luke"]).room;
    let second = world.build_room(yoda, &["leia"]).room;
    assert_eq!(world.say(yoda, first, "to luke; only").0, MessageNumber(1));
    assert_eq!(world.say(luke, first, "to yoda").0, MessageNumber(2));
    assert_eq!(world.say(yoda, second, "to leia").0, MessageNumber(1));
    assert_eq!(hears_room(world, luke, first), (MessageNumber(1), "to luke; only".into()));
    assert_eq!(hears_room(world, yoda, first), (MessageNumber(2), "to yoda".into()));
    assert_eq!(hears_room(world, leia, second), (MessageNumber(1), "to leia".into()));
    world.broadcast(yoda, "that was all");
    for client in [luke, leia] {
        world.hears(client, "that was all");
        world.absent(client, "more of a room", |event| matches!(event, Event::RoomMessage { .. }));
    }
    world.until("the room's log has its messages", |world| {
        let log = world.message_log(Some(first)).unwrap_or_default();
        log.starts_with("1; ") && log.ends_with("; luke; to yoda\n") && log.contains("; yoda; to luke\\; only\n2; ")
    });
}

/// Writing to a room that does not exist, and to one that one is not in, are different errors.
pub fn strangers_cannot_write(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, _luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke"]).room;
    let say = |room| Command::RoomMessage { room, text: "let me in".into() };
    assert_eq!(world.fails(leia, say(RoomId(7))), Failure::NoSuchRoom);
    assert_eq!(world.fails(leia, say(RoomId(0))), Failure::NoSuchRoom);
    assert_eq!(world.fails(leia, say(room)), Failure::NotAMember);
    // It took no number.
    assert_eq!(world.say(yoda, room, "first").0, MessageNumber(1));
}

/// A member adds someone: all are told, and the new member hears what is written from then on.
pub fn an_invited_user_becomes_a_member(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke"]).room;
    world.say(yoda, room, "before");
    world.command(yoda, invite(room, "leia"));
    let all = RoomInfo { room, members: users(&["yoda", "luke", "leia"]) };
    assert_eq!(room_changed(world, yoda), all);
    assert_eq!(room_changed(world, luke), all);
    assert_eq!(told_of_room(world, leia), all);
    world.say(leia, room, "thank you");
    assert_eq!(hears_room(world, luke, room).1, "before");
    assert_eq!(hears_room(world, luke, room), (MessageNumber(2), "thank you".into()));
    world.say(luke, room, "welcome");
    assert_eq!(hears_room(world, leia, room), (MessageNumber(3), "welcome".into()));
}

/// Who may not invite, and who cannot be invited.
pub fn invitations_can_be_refused(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia", "han"]);
    let [yoda, _luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke"]).room;
    assert_eq!(world.fails(leia, invite(room, "leia")), Failure::NotAMember);
    assert_eq!(world.fails(yoda, invite(RoomId(9), "leia")), Failure::NoSuchRoom);
    assert_eq!(world.fails(yoda, invite(room, "luke")), Failure::AlreadyAMember);
    assert_eq!(world.fails(yoda, invite(room, "nobody")), Failure::NoSuchUser(vec!["nobody".into()]));
    assert_eq!(world.fails(yoda, invite(room, "han")), Failure::UserOffline(users(&["han"])));
}

/// Who leaves hears no more and may write no more; the others are told.
pub fn who_leaves_hears_no_more(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke", "leia"]).room;
    world.command(leia, Command::Leave { room });
    world.wait(leia, "the leave", |event| *event == Event::LeftRoom { room });
    let rest = RoomInfo { room, members: users(&["yoda", "luke"]) };
    assert_eq!([room_changed(world, yoda), room_changed(world, luke)], [rest.clone(), rest.clone()]);
    assert_eq!(rooms_of(world, leia), []);
    assert_eq!(rooms_of(world, luke), [rest]);
    world.say(yoda, room, "she is gone");
    world.broadcast(yoda, "that was all");
    world.hears(leia, "that was all");
    world.absent(leia, "a message of the room she left", |event| matches!(event, Event::RoomMessage { .. }));
    assert_eq!(world.fails(leia, Command::Leave { room }), Failure::NotAMember);
    assert_eq!(world.fails(leia, Command::Leave { room: RoomId(5) }), Failure::NoSuchRoom);
    assert_eq!(world.fails(leia, Command::RoomMessage { room, text: "still here?".into() }), Failure::NotAMember);
}

/// The members of a room are those of now: the set that left is free for a new room.
pub fn the_current_members_tell_rooms_apart(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, _luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let first = world.build_room(yoda, &["luke", "leia"]).room;
    world.command(leia, Command::Leave { room: first });
    world.wait(leia, "the leave", |event| *event == Event::LeftRoom { room: first });
    world.command(yoda, build_room(&["luke"]));
    world.wait(yoda, "the room that is left", |event| matches!(event, Event::RoomExists(room) if room.room == first));
    assert_eq!(world.build_room(yoda, &["luke", "leia"]).room, RoomId(2));
}

/// `INVITE`.
pub fn invite(room: RoomId, user: &str) -> Command {
    Command::Invite { room, user: user.into() }
}

/// `ROOMS`, answered.
pub fn rooms_of(world: &mut dyn World, client: ClientId) -> Vec<RoomInfo> {
    world.command(client, Command::Rooms);
    world.pick(client, "the list of rooms", |event| match event {
        Event::Rooms(rooms) => Some(rooms.clone()),
        _ => None,
    })
}

fn told_of_room(world: &mut dyn World, client: ClientId) -> RoomInfo {
    world.pick(client, "the room one was put in", |event| match event {
        Event::RoomCreated(room) => Some(room.clone()),
        _ => None,
    })
}

fn room_changed(world: &mut dyn World, client: ClientId) -> RoomInfo {
    world.pick(client, "the change of the room", |event| match event {
        Event::RoomChanged(room) => Some(room.clone()),
        _ => None,
    })
}

fn hears_room(world: &mut dyn World, client: ClientId, room: RoomId) -> (MessageNumber, String) {
    world.pick(client, "a message of the room", |event| match event {
        Event::RoomMessage { room: here, number, text, .. } if *here == room => Some((*number, text.clone())),
        _ => None,
    })
}

fn sorted<T: Clone + Ord>(names: &[T]) -> Vec<T> {
    let mut names = names.to_vec();
    names.sort();
    names
}
