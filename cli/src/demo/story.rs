//! What happens in the demo, and how it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use toom_core::client::command::Command;
use toom_core::client::event::{Direction, Event, PostKind, Transfer, TransferState};
use toom_core::config::ServerConfig;
use toom_core::id::RoomId;
use toom_core::name::UserName;
use toom_core::secure::Password;
use toom_core::server::PostRates;
use toom_core::text::{printable, printable_lines};
use toom_core::wire::limits::{DEFAULT_ATTEMPTS, DEFAULT_BLOCK, DEFAULT_GRACE};

use super::person::Person;
use crate::args::Global;
use crate::exit::Failure;
use crate::line::human;
use crate::runtime::{Runtime, Server};
use crate::{accounts, made_up, output, random};

const SERVER: Runtime = Runtime::Std;
const CAST: [(&str, Runtime); 3] = [("Yoda", Runtime::Smol), ("Luke", Runtime::Std), ("Leia", Runtime::Smol)];

/// What it came to.
pub(super) struct Figures {
    bytes: u64,
    seconds: f64,
    blake3: blake3::Hash,
}

impl Figures {
    /// The last line of `toom demo --json`.
    pub(super) fn json(&self) -> Value {
        json!({
            "event": "demo", "ok": true, "bytes": self.bytes, "seconds": self.seconds, "rate_bps": self.rate(),
            "blake3": self.blake3.to_hex().as_str(),
        })
    }

    fn rate(&self) -> u64 {
        (self.bytes as f64 * 8.0 / self.seconds.max(1e-9)) as u64
    }
}

/// Plays it with `file` in `dir`; succeeds only if everything arrived as it was sent.
pub(super) fn tell(file: &Path, dir: &Path, global: &Global) -> Result<Figures, Failure> {
    let say = Teller { quiet: global.quiet || global.json };
    let (server, passwords) = open_server(dir)?;
    let (address, key) = (server.address(), server.key());
    say.line(&format!("A server ({}) listens on {address}. Its users are {}.", SERVER.name(), names()))?;
    let mut people = Vec::new();
    for ((name, runtime), password) in CAST.into_iter().zip(passwords) {
        let person = Person::connect(name, runtime, (address.to_string(), key), dir.join(name), global.json)?;
        let port = person.log_in(password)?;
        say.line(&format!("{name} ({}) logs in; files reach them at UDP port {port}.", runtime.name()))?;
        people.push(person);
    }
    let [yoda, luke, leia] = <[Person; 3]>::try_from(people).map_err(|_| Failure::failed("The cast is not there."))?;

    broadcast(&yoda, [&luke, &leia], &say)?;
    let room = build_room(&yoda, &luke, &say)?;
    room_and_direct_message(&yoda, &luke, &leia, room, &say)?;
    let figures = send_file(&yoda, &luke, file, &say)?;
    for person in [yoda, luke, leia] {
        person.leave()?;
    }
    server.stop();
    say.line("Everybody has logged out, and the server has stopped. Everything arrived intact.")?;
    Ok(figures)
}

fn open_server(dir: &Path) -> Result<(Server, Vec<Password>), Failure> {
    let data = dir.join("server");
    let mut given = Vec::new();
    for (name, _) in CAST {
        let secret: [u8; 16] = random::bytes()?;
        let name = UserName::new(name).map_err(Failure::failed)?;
        given.push((name, Password(secret.iter().map(|byte| format!("{byte:02x}")).collect())));
    }
    accounts::add_missing(&data, given.clone(), false)?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let post_rates = PostRates::default();
    let config = ServerConfig {
        listen,
        data,
        attempts: DEFAULT_ATTEMPTS,
        block: DEFAULT_BLOCK,
        post_rates,
        keep: None,
        grace: DEFAULT_GRACE,
    };
    let server = SERVER.serve(config, |_| ())?;
    Ok((server, given.into_iter().map(|(_, password)| password).collect()))
}

fn broadcast(yoda: &Person, others: [&Person; 2], say: &Teller) -> Result<(), Failure> {
    const TEXT: &str = "May the force be with you, all of you!";
    yoda.command(Command::Broadcast { text: TEXT.into() });
    let number = yoda.wait("the confirmation of the broadcast", |event| match event {
        Event::Sent { kind: PostKind::Broadcast, number, .. } => Some(*number),
        _ => None,
    })?;
    for other in others {
        other.wait("the broadcast", |event| match event {
            Event::Broadcast { text, number: heard, .. } => (text == TEXT && *heard == number).then_some(()),
            _ => None,
        })?;
    }
    say.line(&format!("Yoda tells everyone: \"{TEXT}\" Luke and Leia hear it as broadcast #{number}."))?;
    Ok(())
}

fn build_room(yoda: &Person, luke: &Person, say: &Teller) -> Result<RoomId, Failure> {
    yoda.command(Command::BuildRoom { users: vec![luke.name.into()] });
    let created = |event: &Event| match event {
        Event::RoomCreated(info) => Some(info.room),
        _ => None,
    };
    let room = yoda.wait("the room", created)?;
    if luke.wait("the room", created)? != room {
        return Err(Failure::failed("Luke was put in another room than the one that Yoda built."));
    }
    say.line(&format!("Yoda builds room {room} for Luke and himself."))?;
    Ok(room)
}

fn room_and_direct_message(
    yoda: &Person,
    luke: &Person,
    leia: &Person,
    room: RoomId,
    say: &Teller,
) -> Result<(), Failure> {
    const IN_ROOM: &str = "Is it true that you have a film for me?";
    const DIRECT: &str = "Psst, Leia: there is a film coming.";
    luke.command(Command::RoomMessage { room, text: IN_ROOM.into() });
    yoda.wait("the message in the room", |event| match event {
        Event::RoomMessage { text, .. } => (text == IN_ROOM).then_some(()),
        _ => None,
    })?;
    luke.command(Command::DirectMessage { to: leia.name.into(), text: DIRECT.into() });
    // What the room said was sent before; had the server sent it to Leia, it would come first.
    let mut overheard = false;
    leia.wait("the direct message", |event| match event {
        Event::RoomMessage { .. } => {
            overheard = true;
            None
        }
        Event::DirectMessage { text, .. } => (text == DIRECT).then_some(()),
        _ => None,
    })?;
    if overheard {
        return Err(Failure::failed("Leia was told what was said in a room that she is not in."));
    }
    say.line(&format!("Luke says in room {room}: \"{IN_ROOM}\" Yoda hears it, Leia does not."))?;
    say.line(&format!("Luke tells Leia alone: \"{DIRECT}\""))?;
    Ok(())
}

fn send_file(yoda: &Person, luke: &Person, file: &Path, say: &Teller) -> Result<Figures, Failure> {
    let hash = |path: &Path| made_up::hash(path).map_err(|error| super::unreadable(path, error));
    let before = hash(file)?;
    yoda.command(Command::SendFiles { to: luke.name.into(), paths: vec![file.to_owned()] });
    let offered = yoda.wait("the offer", transfer_in(Direction::Out))?;
    let bytes = offered.total.unwrap_or_default();
    let (from, to) = (yoda.runtime.name(), luke.runtime.name());
    say.line(&format!(
        "Yoda sends {} ({}) to Luke by UDP, from {from} to {to}.",
        printable(offered.name.as_str()),
        human::size(bytes)
    ))?;
    let bar = say.bar(bytes);
    let mut begun = None;
    let saved_as = luke.wait("the file", |event| {
        let Event::Transfer(transfer) = event else { return None };
        begun.get_or_insert_with(Instant::now);
        bar.set_position(transfer.bytes);
        match &transfer.state {
            TransferState::Done { saved_as, .. } => Some(saved_as.clone().unwrap_or_default()),
            _ => None,
        }
    })?;
    yoda.wait("Luke's confirmation", |event| match event {
        Event::Transfer(transfer) => matches!(transfer.state, TransferState::Done { .. }).then_some(()),
        _ => None,
    })?;
    let seconds = begun.map_or(0.0, |begun: Instant| begun.elapsed().as_secs_f64());
    bar.finish_and_clear();

    let after = hash(&luke.downloads.join(&saved_as))?;
    if before != after || hash(file)? != before {
        return Err(Failure::failed(format!(
            "The file that arrived ({after}) is not the one that was sent ({before})."
        )));
    }
    let figures = Figures { bytes, seconds, blake3: after };
    say.line(&format!(
        "Luke has it as {}: {bytes} bytes in {seconds:.2} seconds, {}.",
        printable(&saved_as),
        human::rate(figures.rate())
    ))?;
    say.line(&format!("Both files have the BLAKE3 hash {after}."))?;
    Ok(figures)
}

fn transfer_in(direction: Direction) -> impl FnMut(&Event) -> Option<Transfer> {
    move |event| match event {
        Event::Transfer(transfer) if transfer.direction == direction => Some(transfer.clone()),
        _ => None,
    }
}

fn names() -> String {
    let [first, second, third] = CAST.map(|(name, _)| name);
    format!("{first}, {second} and {third}")
}

/// Tells the story, unless nobody wants to read it.
struct Teller {
    quiet: bool,
}

impl Teller {
    fn line(&self, text: &str) -> Result<(), Failure> {
        match self.quiet {
            true => Ok(()),
            // The demo is about what happens; it goes on without a reader.
            false => output::line(&printable_lines(text)).or_else(|error| output::failure(&error).map_or(Ok(()), Err)),
        }
    }

    fn bar(&self, bytes: u64) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let template = "{wide_bar} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(bytes).with_style(style)
    }
}
