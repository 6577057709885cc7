//! `FIND`.

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::wire::message::{FoundIn, FoundMessage};

use super::rooms::invite;
use super::steps::{log_in, start, user};
use super::world::{ClientId, World};

/// Broadcasts, rooms as long as one was a member, and direct messages of one's own; the newest first.
pub fn one_finds_what_one_may_read(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke"]).room;
    world.say(yoda, room, "the plan, one");
    world.command(yoda, invite(room, "leia"));
    world.wait(leia, "the invitation", |event| matches!(event, Event::RoomCreated(_)));
    world.say(luke, room, "the plan, two");
    world.command(leia, Command::Leave { room });
    world.wait(leia, "the leave", |event| *event == Event::LeftRoom { room });
    world.say(yoda, room, "the plan, three");
    world.broadcast(luke, "No PLAN for all");
    direct(world, yoda, "luke", "a plan for you");
    let told = FoundIn::Direct(user("yoda"));
    let written = FoundIn::Direct(user("luke"));
    let (all, in_room) = ((FoundIn::Broadcast, "No PLAN for all"), |text| (FoundIn::Room(room), text));
    let rooms = [in_room("the plan, three"), in_room("the plan, two"), in_room("the plan, one")];
    let expected = |direct: FoundIn| [vec![(direct, "a plan for you"), all.clone()], rooms.to_vec()].concat();
    // What was confirmed just now is found, too.
    assert_eq!(places(&find(world, yoda, "plan")), expected(written));
    assert_eq!(places(&find(world, luke, "pla*")), expected(told));
    assert_eq!(places(&find(world, leia, "plan")), [all.clone(), rooms[1].clone()]);
    assert_eq!(places(&find(world, leia, "the plan")), [rooms[1].clone()]);
    assert_eq!(find(world, leia, "\"OR NEAR( *"), []);
}

/// What one searches for is still unread afterwards, and after a restart everything is found as before.
pub fn a_search_reads_nothing_and_survives_a_restart(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    direct(world, yoda, "luke", "word for later");
    world.broadcast(yoda, "word for all");
    let before = find(world, yoda, "word");
    assert_eq!(before.len(), 2);
    world.log_out(yoda);
    world.restart_server();
    let yoda = log_in(world, "yoda");
    assert_eq!(find(world, yoda, "word"), before);
    let luke = log_in(world, "luke");
    assert_eq!(find(world, luke, "later").len(), 1);
    world.wait(luke, "the direct message", |event| matches!(event, Event::DirectMessage { .. }));
}

/// `FIND`, answered.
fn find(world: &mut dyn World, client: ClientId, words: &str) -> Vec<FoundMessage> {
    world.command(client, Command::Find { text: words.to_owned() });
    world.pick(client, "what was found", |event| match event {
        Event::Found { messages, more: false } => Some(messages.clone()),
        _ => None,
    })
}

fn direct(world: &mut dyn World, from: ClientId, to: &str, text: &str) {
    world.command(from, Command::DirectMessage { to: to.to_owned(), text: text.to_owned() });
    world.wait(from, "the confirmation", |event| matches!(event, Event::Sent { .. }));
}

fn places(messages: &[FoundMessage]) -> Vec<(FoundIn, &str)> {
    messages.iter().map(|message| (message.place.clone(), message.text.as_str())).collect()
}
