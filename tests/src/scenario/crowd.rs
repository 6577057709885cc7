//! Many people at once.

use std::collections::BTreeMap;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, PostKind};
use toom_core::id::MessageNumber;
use toom_core::name::UserName;

use super::steps::{log_in, start};
use super::world::{ClientId, World};

/// So many log in and broadcast at once, `each` so often: every client sees every message of the others once,
/// and all see one order.
pub fn everyone_hears_everyone(world: &mut dyn World, people: usize, each: usize) {
    let names: Vec<String> = (0..people).map(|person| format!("person{person}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    start(world, &names);
    let clients: Vec<ClientId> = names.iter().map(|name| log_in(world, name)).collect();
    all_post_and_all_hear(world, &clients, each);
}

/// All give `each` broadcasts at once, before any answer; then the numbers that each was told must be 1 to
/// the number of all, and what all were told must agree.
pub fn all_post_and_all_hear(world: &mut dyn World, clients: &[ClientId], each: usize) {
    for post in 0..each {
        for client in clients {
            world.command(*client, Command::Broadcast { text: format!("{post} of {}", client.0) });
        }
    }
    let all = clients.len() * each;
    let mut agreed: BTreeMap<MessageNumber, (UserName, String)> = BTreeMap::new();
    let mut confirmed: BTreeMap<MessageNumber, ClientId> = BTreeMap::new();
    for client in clients {
        let mut last = MessageNumber(0);
        for _ in 0..all {
            let (number, heard) = next_post(world, *client);
            assert_eq!(number, MessageNumber(last.0 + 1), "client {} saw a gap or a disorder", client.0);
            last = number;
            match heard {
                Some(heard) => {
                    let known = agreed.entry(number).or_insert_with(|| heard.clone());
                    assert_eq!(*known, heard, "two clients were told different things about {number}");
                }
                None => assert_eq!(confirmed.insert(number, *client), None, "{number} was confirmed to two authors"),
            }
        }
    }
    assert_eq!((agreed.len(), confirmed.len()), (all, all));
    for (number, client) in confirmed {
        let (_, text) = &agreed[&number];
        assert!(text.ends_with(&format!(" of {}", client.0)), "{number} was confirmed to {client:?}, but is {text}");
    }
}

/// The next broadcast that a client was told of: somebody's, or the confirmation of its own.
fn next_post(world: &mut dyn World, client: ClientId) -> (MessageNumber, Option<(UserName, String)>) {
    world.pick(client, "another broadcast or confirmation", |event| match event {
        Event::Broadcast { number, from, text, .. } => Some((*number, Some((from.clone(), text.clone())))),
        Event::Sent { kind: PostKind::Broadcast, number, .. } => Some((*number, None)),
        _ => None,
    })
}
