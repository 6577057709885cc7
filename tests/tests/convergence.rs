//! Random people on random networks: whatever they do, all end up with the same.

use core::time::Duration;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use toom_core::client::command::Command;
use toom_core::client::event::{Event, PostKind};
use toom_core::id::MessageNumber;
use toom_core::time::Timestamp;
use toom_core::wire::message::HistoryKind;
use toom_tests::scenario::history::history;
use toom_tests::scenario::steps::{log_in, start};
use toom_tests::scenario::transfer::{arrives, send, two_accepting};
use toom_tests::scenario::{ClientId, World};
use toom_tests::sim::options::{LinkOptions, StreamOptions, WorkOptions};
use toom_tests::sim::{Options, SimulatedWorld};

const NAMES: [&str; 6] = ["yoda", "luke", "leia", "han", "lando", "chewie"];

/// What one person does.
#[derive(Clone, Debug)]
enum Act {
    Broadcast { bytes: usize },
    Rest { milliseconds: u64 },
    ComeAgain,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1usize..3_000).prop_map(|bytes| Act::Broadcast { bytes }),
        2 => (0u64..400).prop_map(|milliseconds| Act::Rest { milliseconds }),
        1 => Just(Act::ComeAgain),
    ]
}

fn milliseconds(most: u64) -> impl Strategy<Value = Duration> {
    (0..=most).prop_map(Duration::from_millis)
}

/// A window that lets the largest frame through within `FRAME_DEADLINE` at the longest delay below (256 KiB in
/// 30 s, half a second each time): a slower connection is closed, rightly.
const SMALLEST_WINDOW: usize = 4_500;

fn stream() -> impl Strategy<Value = StreamOptions> {
    (milliseconds(200), milliseconds(300), 1usize..200, SMALLEST_WINDOW..100_000).prop_map(
        |(delay, jitter, largest_piece, window)| StreamOptions {
            delay,
            jitter,
            largest_piece,
            window,
            ..StreamOptions::default()
        },
    )
}

fn link() -> impl Strategy<Value = LinkOptions> {
    let delays = (milliseconds(80), milliseconds(20), milliseconds(30));
    (delays, 0.0..0.2, 0.0..0.3, 0.0..0.3, 200_000u64..20_000_000).prop_map(
        |((delay, jitter, reorder_by), loss, reorder, duplicate, rate)| LinkOptions {
            delay,
            jitter,
            reorder_by,
            loss,
            reorder,
            duplicate,
            rate,
            queue: Duration::from_millis(100),
            ..LinkOptions::default()
        },
    )
}

fn work() -> impl Strategy<Value = WorkOptions> {
    (milliseconds(100), milliseconds(100), milliseconds(200), milliseconds(5))
        .prop_map(|(commit, query, password, file)| WorkOptions { commit, query, password, file, early_wakes: 0.05 })
}

fn options() -> impl Strategy<Value = Options> {
    (any::<u64>(), stream(), link(), work()).prop_map(|(seed, stream, link, work)| Options {
        stream,
        link,
        work,
        ..Options::calm(seed)
    })
}

/// A person, and the client that they have now.
struct Person {
    name: &'static str,
    client: ClientId,
    /// By number, what they were told or had confirmed, over all their clients.
    seen: BTreeMap<MessageNumber, String>,
    /// Texts that are not confirmed yet, oldest first.
    unconfirmed: Vec<String>,
    /// Whether they logged out for a while, and missed what was said meanwhile.
    was_away: bool,
}

impl Person {
    /// Takes what they were told. Numbers only grow, and nothing comes twice.
    fn listen(&mut self, world: &mut dyn World) {
        let told: Vec<Event> = world.untaken(self.client).drain(..).collect();
        for event in told {
            let (number, text) = match event {
                Event::Broadcast { number, text, .. } => (number, text),
                Event::Sent { kind: PostKind::Broadcast, number, .. } => (number, self.unconfirmed.remove(0)),
                Event::Error(failure) => panic!("{} was told {failure:?}", self.name),
                _ => continue,
            };
            if let Some((last, _)) = self.seen.last_key_value() {
                assert!(number > *last, "{} was told {number} after {last}", self.name);
            }
            self.seen.insert(number, text);
        }
    }

    /// Waits until everything is confirmed.
    fn finish(&mut self, world: &mut dyn World) {
        self.listen(world);
        while !self.unconfirmed.is_empty() {
            assert!(
                world.fetch(self.client),
                "{} waits in vain for {} confirmations",
                self.name,
                self.unconfirmed.len()
            );
            self.listen(world);
        }
    }
}

/// Everyone does what they do; then the last word tells everyone that they have heard all.
fn converge(world: &mut dyn World, people: usize, acts: &[(usize, Act)]) {
    start(world, &NAMES[..people]);
    let mut crowd: Vec<Person> = NAMES[..people]
        .iter()
        .map(|name| Person {
            name,
            client: log_in(world, name),
            seen: BTreeMap::new(),
            unconfirmed: Vec::new(),
            was_away: false,
        })
        .collect();
    for (place, (who, act)) in acts.iter().enumerate() {
        let person = &mut crowd[who % people];
        match act {
            Act::Broadcast { bytes } => {
                let text = format!("{place} {}", "x".repeat(*bytes));
                person.unconfirmed.push(text.clone());
                world.command(person.client, Command::Broadcast { text });
            }
            Act::Rest { milliseconds } => world.pause(Duration::from_millis(*milliseconds)),
            Act::ComeAgain => {
                person.finish(world);
                world.log_out(person.client);
                person.listen(world);
                person.client = log_in(world, person.name);
                person.was_away = true;
            }
        }
    }
    crowd.iter_mut().for_each(|person| person.finish(world));
    let (last, _) = world.broadcast(crowd[0].client, "the last word");
    crowd[0].listen(world);
    crowd[0].seen.insert(last, "the last word".into());
    for person in &mut crowd[1..] {
        person.listen(world);
        while !person.seen.contains_key(&last) {
            assert!(world.fetch(person.client), "{} never hears the last word", person.name);
            person.listen(world);
        }
    }
    agree(world, &crowd, last);
}

/// History is what was posted, numbered without gaps; it is the same for all; and whoever was there all the
/// time was told all of it.
fn agree(world: &mut dyn World, crowd: &[Person], last: MessageNumber) {
    let mut first: Option<BTreeMap<MessageNumber, String>> = None;
    for person in crowd {
        let messages = history(world, person.client, HistoryKind::Broadcast, Timestamp::from_millis(0));
        let numbers: Vec<u64> = messages.iter().map(|message| message.number.0).collect();
        assert_eq!(numbers, (1..=last.0).collect::<Vec<_>>(), "{}", person.name);
        let all: BTreeMap<MessageNumber, String> = messages.into_iter().map(|m| (m.number, m.text)).collect();
        assert!(person.seen.iter().all(|(number, text)| all.get(number) == Some(text)), "{}", person.name);
        if !person.was_away {
            assert_eq!(person.seen, all, "{}", person.name);
        }
        assert_eq!(*first.get_or_insert_with(|| all.clone()), all, "{}", person.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn everyone_ends_up_with_every_broadcast_once_and_in_one_order(
        options in options(),
        people in 2usize..=NAMES.len(),
        acts in vec((any::<usize>(), act()), 0..60),
    ) {
        converge(&mut SimulatedWorld::new(options), people, &acts);
    }

    #[test]
    fn any_file_crosses_any_link(options in options(), bytes in 0u64..300_000) {
        let mut world = SimulatedWorld::new(options);
        let (yoda, luke) = two_accepting(&mut world);
        let file = world.put_file("film.mp4", bytes, 1);
        let id = send(&mut world, yoda, "luke", &file);
        arrives(&mut world, yoda, luke, id, &file);
    }
}
