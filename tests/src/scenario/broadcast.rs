//! `BCM`.

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure};
use toom_core::id::MessageNumber;
use toom_core::wire::limits::MAX_TEXT_BYTES;

use super::steps::{log_in, start, user};
use super::world::{ClientId, World};

/// Everyone active but the author is told: once, whole, with number, time and author.
pub fn a_broadcast_reaches_all_others_once(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    let leia = log_in(world, "leia");
    let text = "  May the Force; be \\ with  you, naïve Jünger\t日本 ";
    let (number, at) = world.broadcast(yoda, text);
    assert_eq!(number, MessageNumber(1));
    for client in [luke, leia] {
        assert_eq!(world.hears(client, text), (number, at, user("yoda")));
    }
    // Anything told twice, or to the author, would have come before this.
    world.broadcast(luke, "and with you");
    for client in [yoda, leia] {
        assert_eq!(world.hears(client, "and with you").0, MessageNumber(2));
        world.absent(client, "a broadcast again", |event| matches!(event, Event::Broadcast { .. }));
    }
}

/// Who comes later hears what is said later, and who has left hears nothing.
pub fn only_who_is_active_hears(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    world.broadcast(yoda, "before");
    let luke = log_in(world, "luke");
    world.broadcast(yoda, "while");
    assert_eq!(world.hears(luke, "while").0, MessageNumber(2));
    world.absent(luke, "what was said before", |event| matches!(event, Event::Broadcast { .. }));
    world.log_out(luke);
    assert_eq!(world.broadcast(yoda, "after").0, MessageNumber(3));
    // Not even later.
    let luke = log_in(world, "luke");
    world.broadcast(yoda, "at last");
    assert_eq!(world.hears(luke, "at last").0, MessageNumber(4));
    world.absent(luke, "what was said meanwhile", |event| matches!(event, Event::Broadcast { .. }));
}

/// More commands at once than may be under way, and some that fail: each is answered once, in order.
pub fn a_burst_of_commands_is_answered_in_order(world: &mut dyn World) {
    const POSTS: u64 = 1_000;
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    for post in 1..=POSTS {
        world.command(yoda, Command::Broadcast { text: post.to_string() });
        if post % 100 == 0 {
            world.command(yoda, Command::Broadcast { text: String::new() });
        }
    }
    for post in 1..=POSTS {
        assert_eq!(answer(world, yoda), Ok(MessageNumber(post)));
        if post % 100 == 0 {
            assert_eq!(answer(world, yoda), Err(Failure::BadText));
        }
        assert_eq!(world.hears(luke, &post.to_string()).0, MessageNumber(post));
    }
}

fn answer(world: &mut dyn World, client: ClientId) -> Result<MessageNumber, Failure> {
    world.pick(client, "the next answer", |event| match event {
        Event::Sent { number, .. } => Some(Ok(*number)),
        Event::Error(failure) => Some(Err(failure.clone())),
        _ => None,
    })
}

/// All see the broadcasts of several people in one order, which their numbers tell.
pub fn broadcasts_have_one_order(world: &mut dyn World) {
    let names = ["yoda", "luke", "leia"];
    start(world, &names);
    let clients: Vec<_> = names.iter().map(|name| log_in(world, name)).collect();
    super::crowd::all_post_and_all_hear(world, &clients, 30);
}

/// The longest text is taken; a longer one and an empty one are not.
pub fn the_length_of_a_text_has_limits(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    for text in [String::new(), "x".repeat(MAX_TEXT_BYTES + 1)] {
        assert_eq!(world.fails(yoda, Command::Broadcast { text }), Failure::BadText);
    }
    let longest = "x".repeat(MAX_TEXT_BYTES);
    assert_eq!(world.broadcast(yoda, &longest).0, MessageNumber(1));
    world.hears(luke, &longest);
}

/// `messagelog.txt` has a row for each broadcast, and nobody can forge one.
pub fn the_message_log_has_every_broadcast(world: &mut dyn World) {
    start(world, &["yoda"]);
    let yoda = log_in(world, "yoda");
    let (_, first) = world.broadcast(yoda, "Hello there");
    let (_, second) = world.broadcast(yoda, "x\n9; 1 Jun 2022 16:00:00; luke; forged\\");
    let rows = [
        format!("1; {}; yoda; Hello there\n", toom_store::wall::written(first)),
        format!("2; {}; yoda; x\\n9\\; 1 Jun 2022 16:00:00\\; luke\\; forged\\\\\n", toom_store::wall::written(second)),
    ];
    world.until("the log has both rows", |world| world.message_log(None) == Some(rows.concat()));
}
