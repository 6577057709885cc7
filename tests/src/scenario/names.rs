//! Names: of people, however they are typed, and of files, whatever they are called.

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure};
use toom_core::client::io::AcceptPolicy;
use toom_core::secure::Password;
use toom_core::wire::message::LoginRefusal::{AlreadyActive, Blocked, InvalidCredentials};

use super::direct::receives;
use super::steps::{build_room, log_in, log_in_with, password_of, start, users};
use super::transfer::{arrives, send};
use super::world::World;

/// One letter for the last two, as accounts have it.
const COMPOSED: &str = "Zo\u{eb}";
/// Two, as some systems have it.
const DECOMPOSED: &str = "Zoe\u{308}";

/// Whoever types a letter and its accent apart means the same person, at the login and in every command.
pub fn a_name_is_found_in_every_spelling(world: &mut dyn World) {
    start(world, &[COMPOSED, "yoda"]);
    let yoda = log_in(world, "yoda");
    let zoe = world.connect(AcceptPolicy::All);
    world.command(zoe, Command::Login { name: DECOMPOSED.into(), password: Password(password_of(COMPOSED)) });
    world.wait(zoe, "the welcome", |event| matches!(event, Event::Welcome { user, .. } if user.as_str() == COMPOSED));
    assert_eq!(world.try_login_anew(COMPOSED, &password_of(COMPOSED)), Err(AlreadyActive));

    world.command(yoda, Command::DirectMessage { to: DECOMPOSED.into(), text: "hello".into() });
    world.sent(yoda);
    assert_eq!(receives(world, zoe).2, "hello");
    world.command(yoda, build_room(&[DECOMPOSED, COMPOSED]));
    let members = world.pick(yoda, "the room", |event| match event {
        Event::RoomCreated(room) => Some(room.members.clone()),
        _ => None,
    });
    assert_eq!(members, users(&[COMPOSED, "yoda"]));
    assert_eq!(world.fails(zoe, build_room(&[DECOMPOSED])), Failure::NobodyElse);
    let file = world.put_file("film.mp4", 10_000, 1);
    let id = send(world, yoda, DECOMPOSED, &file);
    assert_eq!(arrives(world, yoda, zoe, id, &file), "yoda_film.mp4");
}

/// Guesses are counted for the person, not for the spelling.
pub fn failures_count_over_all_spellings(world: &mut dyn World) {
    start(world, &[COMPOSED]);
    for name in [COMPOSED, DECOMPOSED] {
        assert_eq!(world.try_login_anew(name, "wrong"), Err(InvalidCredentials));
    }
    for name in [COMPOSED, DECOMPOSED] {
        let refusal = world.try_login_anew(name, "wrong");
        assert!(matches!(refusal, Err(Blocked { .. })), "{refusal:?}");
    }
}

/// What a file is called can neither steer the receiver's terminal nor be any other place than the folder.
pub fn a_file_with_a_hostile_name_gets_a_harmless_one(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in_with(world, name, AcceptPolicy::All));
    let (long, cut) = (format!("{}.mp4", "x".repeat(251)), format!("yoda_{}.mp4", "x".repeat(156)));
    let mut expected = std::collections::BTreeMap::new();
    for ((name, saved_as), seed) in [
        ("\u{1b}]0;x\u{7}", "yoda__"),
        ("\u{1b}[2J.txt", "yoda__.txt"),
        ("photo\u{202e}gpj.exe", "yoda_photo_gpj.exe"),
        ("a\u{200b}b", "yoda_a_b"),
        ("line\nfeed", "yoda_line_feed"),
        ("CON", "yoda__CON"),
        ("..\\..\\.ssh\\authorized_keys", "yoda_authorized_keys"),
        (".bashrc", "yoda_.bashrc"),
        (&*long, &*cut),
        ("👩\u{200d}🚀 é.txt", "yoda_👩\u{200d}🚀 é.txt"),
    ]
    .into_iter()
    .zip(1..)
    {
        let file = world.put_file(name, 1_000, seed);
        let id = send(world, yoda, "luke", &file);
        assert_eq!(arrives(world, yoda, luke, id, &file), saved_as, "{name:?}");
        expected.insert(saved_as.to_owned(), file.content);
    }
    assert_eq!(world.downloads(luke), expected);
}
