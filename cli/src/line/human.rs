//! An event becomes plain lines for people. Nothing that others wrote can change the terminal.

use std::time::Duration;

use toom_core::client::event::{Direction, Event, PostKind, Transfer, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::client::standing::{Path, PathKind, Waiting};
use toom_core::name::UserName;
use toom_core::secure::PublicKey;
use toom_core::text::{printable, printable_lines};
use toom_core::time::Timestamp;
use toom_core::wire::message::{ActiveUser, RoomInfo};
use toom_store::wall::written;

use super::failure::{list, login_sentence, sentence};
use super::past;

/// One or more lines, without the last line's end; `None` for what is no line, but progress that changes many
/// times a second (see [`progress`]).
///
/// What there is to do about an offer depends on `accept`.
pub(crate) fn render(event: &Event, accept: AcceptPolicy) -> Option<String> {
    let text = match event {
        Event::Welcome { user, udp_port, failed_logins, .. } => {
            let welcome = format!("Welcome to Toom, {user}! Files reach this computer at UDP port {udp_port}.");
            match failed_logins {
                0 => welcome,
                1 => format!("{welcome}\n1 failed attempt to log in as {user} since your last login."),
                many => format!("{welcome}\n{many} failed attempts to log in as {user} since your last login."),
            }
        }
        Event::LoginFailed(refusal) => format!("{}.", login_sentence(*refusal)),
        Event::Broadcast { number, at, from, text } => {
            format!("Broadcast #{number}, {}, {from}: {}", written(*at), printable(text))
        }
        Event::RoomMessage { room, number, at, from, text } => {
            format!("Room {room} #{number}, {}, {from}: {}", written(*at), printable(text))
        }
        Event::DirectMessage { number, at, from, text } => {
            format!("Direct message #{number}, {}, {from}: {}", written(*at), printable(text))
        }
        Event::Sent { kind, number, at } => sent(kind, number.0, *at),
        Event::ActiveUsers(users) => active_users(users),
        Event::Joined { user } => format!("{user} is active now."),
        Event::Left { user } => format!("{user} is not active any more."),
        Event::RoomCreated(room) => {
            let RoomInfo { room, members } = room;
            format!("Separate room {room} has been created, users in this room: {}.", list(members.iter()))
        }
        Event::RoomExists(room) => {
            let RoomInfo { room, members } = room;
            format!("A separate room (id {room}) exists already for these users: {}.", list(members.iter()))
        }
        Event::RoomChanged(room) => {
            format!("Users in separate room {} now: {}.", room.room, list(room.members.iter()))
        }
        Event::LeftRoom { room } => format!("You have left separate room {room}."),
        Event::Rooms(rooms) => list_rooms(rooms),
        Event::History { kind, messages } => past::history(*kind, messages),
        Event::Latest { messages, more, .. } => past::latest(messages, *more),
        Event::NewSince(news) => past::new_since(news),
        Event::Found { messages, more } => past::found(messages, *more),
        Event::Offer { id, from, name, bytes, entries, held } => format!(
            "{from} offers you {} ({}). {}.",
            printable(name.as_str()),
            contents(*bytes, *entries),
            match accept {
                AcceptPolicy::All if *held => format!("Their key has changed; type ACCEPT {id} or REJECT {id}"),
                AcceptPolicy::Ask => format!("Type ACCEPT {id} or REJECT {id}"),
                AcceptPolicy::All => format!("Offer {id} is being accepted"),
                AcceptPolicy::None => format!("Offer {id} is being rejected"),
            }
        ),
        Event::Transfer(transfer) => transfer_line(transfer)?,
        Event::Transfers(transfers) if transfers.is_empty() => "no transfer".into(),
        Event::Transfers(transfers) => transfers.iter().map(progress).collect::<Vec<_>>().join("\n"),
        Event::OfferAnswered { id, accepted: true } => format!("Offer {id} is accepted."),
        Event::OfferAnswered { id, accepted: false } => format!("Offer {id} is rejected."),
        Event::SafetyNumber { user, number, devices, own_devices, verified } => {
            safety_number(user, &number.to_string(), (*devices, *own_devices), *verified)
        }
        Event::PeerKeyChanged { user, key, verified } => key_changed(user, *key, *verified),
        Event::NotRemembered { user, reason } => {
            format!("What is known of {user}'s keys is known for this session only: {}", full_stop(&printable(reason)))
        }
        Event::Error(failure) => format!("Error. {}.", sentence(failure)),
        Event::Bye { user } => format!("Bye, {user}!"),
        Event::Reconnecting { reason, unanswered } => reconnecting("the server", reason, *unanswered),
        Event::Resumed { missed: 0 } => "Connected again; no message was missed.".into(),
        Event::Resumed { missed: 1 } => "Connected again; 1 message was missed.".into(),
        Event::Resumed { missed } => format!("Connected again; {missed} messages were missed."),
        Event::ConnectionLost { reason, server_key_changed: true, .. } => format!(
            "The connection to the server is lost: {} Somebody may be posing as the server, so nothing was said to it.",
            full_stop(&printable(reason))
        ),
        Event::ConnectionLost { reason, was_logged_in: true, .. } => {
            format!("The connection to the server is lost: {}", full_stop(&printable(reason)))
        }
        Event::ConnectionLost { reason, was_logged_in: false, .. } => {
            format!("There is no connection to the server: {}", full_stop(&printable(reason)))
        }
    };
    // Others' texts have no line feeds any more. Names are harmless, except that some of early accounts hide something.
    Some(printable_lines(&text).into_owned())
}

/// The connection to `server` is lost, and the client is coming back.
pub(crate) fn reconnecting(server: &str, reason: &str, unanswered: usize) -> String {
    let lost = format!("Connection to {} lost ({}); reconnecting...", printable(server), printable(reason));
    match unanswered {
        0 => lost,
        1 => format!("{lost} 1 command waits for its answer."),
        many => format!("{lost} {many} commands wait for their answers."),
    }
}

/// How far a transfer has come, in one line.
pub(crate) fn progress(transfer: &Transfer) -> String {
    let Transfer { id, bytes, total, .. } = transfer;
    let what = printable(&format!("#{id} {}", what(transfer))).into_owned();
    match (&transfer.state, transfer.direction) {
        (TransferState::Starting, Direction::Out) => {
            format!("{what}: waiting for {}", waits_for(Waiting::Answer, transfer))
        }
        (TransferState::Starting, Direction::In) => format!("{what}: not started yet"),
        (TransferState::Resumed { .. } | TransferState::Moving, _) => {
            let (bytes, standing) = (*bytes, standing(transfer));
            match *total {
                Some(total) => format!("{what}: {} %, {standing}", percent(bytes, total)),
                None => format!("{what}: {} so far, {standing}", size(bytes)),
            }
        }
        (TransferState::Waiting(waiting), _) => format!("{what}: waiting for {}", waits_for(*waiting, transfer)),
        (TransferState::Paused { silent }, _) => format!("{what}: paused, nothing heard for {}", span(*silent)),
        (TransferState::Done { .. }, _) => format!("{what}: done"),
        (TransferState::Failed(failure), _) => format!("{what}: failed: {}", printable(&failure.to_string())),
    }
}

/// How fast it goes, on which path, how that is, and how long it takes yet: `12.3 Mbit/s, lan 20 ms, 1.5 % lost, 2 min left`.
fn standing(transfer: &Transfer) -> String {
    let Path { kind, round_trip, loss_ppm } = transfer.path;
    let mut text = format!("{}, {}", rate(transfer.rate_bps), path(kind));
    if let Some(round_trip) = round_trip {
        text.push_str(&match round_trip.as_millis() {
            0 => " <1 ms".to_owned(),
            millis => format!(" {millis} ms"),
        });
    }
    // Less than one of two thousand is no news.
    if let Some(ppm) = loss_ppm.filter(|ppm| *ppm >= 500) {
        let tenths = (ppm + 500) / 1_000;
        text.push_str(&format!(", {}.{} % lost", tenths / 10, tenths % 10));
    }
    if let Some(left) = transfer.time_left() {
        text.push_str(&format!(", {} left", span(left)));
    }
    text
}

/// The name of a path, as scripts see it, too.
pub(crate) fn path(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Lan => "lan",
        PathKind::Direct => "direct",
    }
}

/// What a transfer waits for, in words.
fn waits_for(waiting: Waiting, Transfer { peer, .. }: &Transfer) -> String {
    match waiting {
        Waiting::Acceptance => format!("{peer} to accept"),
        Waiting::Answer => format!("the first answer of {peer}'s computer"),
        Waiting::OwnDisk => "this computer's disk".into(),
        Waiting::Source => "more from standard input".into(),
        Waiting::Reader => "whoever reads standard output".into(),
        Waiting::PeerDisk => format!("{peer}'s computer, which stores it slowly"),
        Waiting::OwnHash => "this computer to check the file".into(),
        Waiting::PeerHash => format!("{peer}'s computer to check the file"),
        Waiting::Bytes => format!("more from {peer}'s computer"),
    }
}

/// A time as people read it, rounded up: `7 s`, `2 min`, `3 h`.
fn span(time: Duration) -> String {
    let seconds = time.as_millis().div_ceil(1_000);
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

/// A number of bytes as people read it: `12.3 MB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".into(),
        0..1_000 => format!("{bytes} bytes"),
        _ => scaled(bytes, &["kB", "MB", "GB", "TB", "PB", "EB"]),
    }
}

/// The size of a file, or that it has none.
pub(crate) fn length(total: Option<u64>) -> String {
    total.map_or_else(|| "a stream".into(), size)
}

/// What is offered: the size of a file, or of a folder or several files and how many there are.
pub(crate) fn contents(bytes: Option<u64>, entries: Option<u32>) -> String {
    match entries {
        None => length(bytes),
        Some(1) => format!("a folder, {}", length(bytes)),
        Some(entries) => format!("{entries} files and folders, {}", length(bytes)),
    }
}

/// Bits a second as people read it: `12.3 Mbit/s`.
pub(crate) fn rate(bps: u64) -> String {
    match bps {
        0..1_000 => format!("{bps} bit/s"),
        _ => scaled(bps, &["kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"]),
    }
}

/// `value`, at least 1,000, in the largest unit that leaves something before the point.
fn scaled(value: u64, units: &[&str]) -> String {
    let mut unit_value = 1_000;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        if value / unit_value < 1_000 {
            break;
        }
        unit_value *= 1_000;
        unit = next;
    }
    format!("{}.{} {unit}", value / unit_value, value % unit_value / (unit_value / 10))
}

fn percent(bytes: u64, total: u64) -> u128 {
    u128::from(bytes) * 100 / u128::from(total.max(1))
}

fn sent(kind: &PostKind, number: u64, at: Timestamp) -> String {
    let at = written(at);
    match kind {
        PostKind::Broadcast => format!("Broadcast message #{number} sent at {at}."),
        PostKind::Room(room) => format!("Message #{number} sent to separate room {room} at {at}."),
        PostKind::Direct(to) => format!("Message #{number} sent to {} at {at}.", printable(to)),
    }
}

fn active_users(users: &[ActiveUser]) -> String {
    if users.is_empty() {
        return "no other active user".into();
    }
    let line = |user: &ActiveUser| {
        let ActiveUser { name, address, udp_port, since } = user;
        format!("{name}, {address}, UDP port {udp_port}, active since {}", written(*since))
    };
    users.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn list_rooms(rooms: &[RoomInfo]) -> String {
    if rooms.is_empty() {
        return "You are in no separate room.".into();
    }
    let line = |room: &RoomInfo| format!("room-{}: {}", room.room, list(room.members.iter()));
    rooms.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The number in two lines, as people read it to each other, and what to make of it.
fn safety_number(user: &UserName, number: &str, (theirs, own): (usize, usize), verified: bool) -> String {
    let (first, second) = number.split_at_checked(number.len() / 2).unwrap_or((number, ""));
    let devices = |count: usize| if count == 1 { "1 device".to_owned() } else { format!("{count} devices") };
    let then = match verified {
        true => format!("{user} is verified: files go to and come from these devices and no others."),
        false => format!(
            "Compare it with {user}, in person or by telephone. If it is the same there, and that is how many devices each \
             of you has, type VERIFY {user} yes."
        ),
    };
    format!(
        "The safety number of you and {user} is\n  {}\n  {}\nIt is of {} of {user} and {} of yours. {then}",
        first.trim(),
        second.trim(),
        devices(theirs),
        devices(own),
    )
}

fn key_changed(user: &UserName, key: PublicKey, verified: bool) -> String {
    let changed = format!("THE KEY OF {user} HAS CHANGED. Now it is\n  {key}\n");
    match verified {
        true => format!(
            "{changed}and that is none of those that you verified. Somebody may be posing as {user}, so their file was \
             refused. If they have a new device, compare what VERIFY {user} shows with them, and say VERIFY {user} yes."
        ),
        false => format!(
            "{changed}Either {user} has a new device, or somebody is posing as them. What they offer is not accepted \
             automatically any more. Compare what VERIFY {user} shows with them."
        ),
    }
}

/// What is said when a transfer begins or ends.
fn transfer_line(transfer: &Transfer) -> Option<String> {
    let Transfer { id, peer, total, .. } = transfer;
    let file = printable(transfer.name.as_str());
    Some(match (&transfer.state, transfer.direction) {
        (TransferState::Moving, _) => return None,
        (TransferState::Waiting(waiting), _) => {
            format!("{} waits for {}.", what(transfer), waits_for(*waiting, transfer))
        }
        (TransferState::Paused { silent }, _) => {
            let silent = span(*silent);
            format!(
                "{} is paused: nothing was heard of {peer}'s computer for {silent}. It goes on when that is back.",
                what(transfer)
            )
        }
        (TransferState::Resumed { had }, _) if *had > transfer.bytes => {
            format!("{file} has changed since {} of it arrived; all of it is sent.", size(*had))
        }
        (TransferState::Resumed { had }, _) => {
            format!(
                "{file} goes on at {} %: {} of it arrived before.",
                percent(*had, total.unwrap_or(*had)),
                size(*had)
            )
        }
        (TransferState::Starting, Direction::Out) => {
            format!("{file} ({}) is offered to {peer}; CANCEL {id} takes it back.", length(*total))
        }
        (TransferState::Starting, Direction::In) => {
            format!("{file} ({}) is coming from {peer}; CANCEL {id} ends it.", length(*total))
        }
        (TransferState::Done { .. }, Direction::Out) => {
            format!("{file} has arrived at {peer}, complete and verified ({}).", length(*total))
        }
        (TransferState::Done { saved_as, .. }, Direction::In) => {
            let saved_as = match saved_as.as_deref().unwrap_or(transfer.name.as_str()) {
                // It went to standard output.
                "-" => String::new(),
                name => format!(" It is saved as {}.", printable(name)),
            };
            format!("{file} from {peer} has arrived, complete and verified ({}).{saved_as}", length(*total))
        }
        (TransferState::Failed(failure), _) => {
            let failure = failure.to_string();
            format!("{} failed: {}.", what(transfer), printable(&failure))
        }
    })
}

/// `film.mp4 to yoda` or `film.mp4 from yoda`.
fn what(transfer: &Transfer) -> String {
    let way = match transfer.direction {
        Direction::In => "from",
        Direction::Out => "to",
    };
    format!("{} {way} {}", printable(transfer.name.as_str()), transfer.peer)
}

/// Ends a reason that somebody else worded with exactly one full stop.
fn full_stop(sentence: &str) -> String {
    format!("{}.", sentence.trim_end_matches(['.', ' ']))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use toom_core::client::event::{Failure, TransferFailure};
    use toom_core::id::{MessageNumber, OfferId, RoomId};
    use toom_core::secure::{AccountKeys, SafetyNumber};
    use toom_core::text::{FileLabel, is_unprintable};
    use toom_core::wire::message::{HistoryKind, LoginRefusal, PastMessage};

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_654_063_500_999);

    fn yoda() -> UserName {
        UserName::new("yoda").unwrap()
    }

    fn lines(event: &Event) -> String {
        render(event, AcceptPolicy::Ask).unwrap()
    }

    fn transfer(direction: Direction, state: TransferState) -> Transfer {
        let name = FileLabel::new("film.mp4");
        Transfer {
            id: OfferId(4),
            peer: yoda(),
            name,
            direction,
            state,
            bytes: 500,
            total: Some(2_000),
            rate_bps: 12_345_678,
            path: Path::default(),
        }
    }

    fn past(room: Option<u32>, number: u64, text: &str) -> PastMessage {
        let room = room.map(RoomId);
        PastMessage { room, number: MessageNumber(number), at: AT, from: yoda(), text: text.into() }
    }

    #[test]
    fn messages_name_their_place_time_and_author() {
        let at = written(AT);
        let (number, from) = (MessageNumber(3), yoda());
        let broadcast = Event::Broadcast { number, at: AT, from: from.clone(), text: "hi  you".into() };
        assert_eq!(lines(&broadcast), format!("Broadcast #3, {at}, yoda: hi  you"));
        let room = Event::RoomMessage { room: RoomId(2), number, at: AT, from: from.clone(), text: "hi".into() };
        assert_eq!(lines(&room), format!("Room 2 #3, {at}, yoda: hi"));
        let direct = Event::DirectMessage { number, at: AT, from, text: "hi".into() };
        assert_eq!(lines(&direct), format!("Direct message #3, {at}, yoda: hi"));
    }

    #[test]
    fn confirmations_name_number_and_time() {
        let at = written(AT);
        for (kind, line) in [
            (PostKind::Broadcast, format!("Broadcast message #3 sent at {at}.")),
            (PostKind::Room(RoomId(2)), format!("Message #3 sent to separate room 2 at {at}.")),
            (PostKind::Direct("luke".into()), format!("Message #3 sent to luke at {at}.")),
        ] {
            assert_eq!(lines(&Event::Sent { kind, number: MessageNumber(3), at: AT }), line);
        }
    }

    #[test]
    fn the_assignment_s_words_are_kept() {
        assert_eq!(lines(&Event::ActiveUsers(vec![])), "no other active user");
        assert_eq!(lines(&Event::History { kind: HistoryKind::Rooms, messages: vec![] }), "no new message");
        assert_eq!(lines(&Event::Bye { user: yoda() }), "Bye, yoda!");
        let welcome = |failed_logins| Event::Welcome {
            user: yoda(),
            server_key: PublicKey([7; 32]),
            udp_port: 6000,
            failed_logins,
        };
        assert_eq!(lines(&welcome(0)), "Welcome to Toom, yoda! Files reach this computer at UDP port 6000.");
        for (count, sentence) in [
            (1, "1 failed attempt to log in as yoda since your last login."),
            (3, "3 failed attempts to log in as yoda since your last login."),
        ] {
            assert_eq!(lines(&welcome(count)).lines().nth(1), Some(sentence));
        }
        assert_eq!(lines(&Event::Error(Failure::NoSuchRoom)), "Error. The separate room does not exist.");
        assert_eq!(lines(&Event::Error(Failure::NotAMember)), "Error. You are not in this separate room chat.");
    }

    #[test]
    fn active_users_are_listed_one_a_line() {
        let address = IpAddr::V4(Ipv4Addr::new(129, 64, 1, 11));
        let user = ActiveUser { name: yoda(), address, udp_port: 6666, since: AT };
        let line = format!("yoda, 129.64.1.11, UDP port 6666, active since {}", written(AT));
        assert_eq!(lines(&Event::ActiveUsers(vec![user.clone(), user])), format!("{line}\n{line}"));
    }

    #[test]
    fn transfers_speak_when_they_begin_and_end_but_not_while_they_move() {
        assert_eq!(render(&Event::Transfer(transfer(Direction::In, TransferState::Moving)), AcceptPolicy::Ask), None);
        let done = TransferState::Done { blake3: [0; 32], saved_as: Some("yoda_film (2).mp4".into()) };
        let line = lines(&Event::Transfer(transfer(Direction::In, done)));
        assert!(line.contains("yoda_film (2).mp4") && line.contains("verified"), "{line}");
        let failed = TransferState::Failed(TransferFailure::Rejected);
        assert_eq!(
            lines(&Event::Transfer(transfer(Direction::Out, failed))),
            "film.mp4 to yoda failed: the other person rejected the file."
        );
        assert_eq!(
            progress(&transfer(Direction::In, TransferState::Moving)),
            "#4 film.mp4 from yoda: 25 %, 12.3 Mbit/s, direct, 0 s left"
        );
    }

    #[test]
    fn a_transfer_that_moves_has_one_short_line() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let path = Path { kind: PathKind::Lan, round_trip: millis(250), loss_ppm: Some(12_345) };
        let large = Transfer { total: Some(999_900_000_000), path, ..transfer(Direction::In, TransferState::Moving) };
        let line = progress(&large);
        let long = "#4 film.mp4 from yoda: 0 %, 12.3 Mbit/s, lan 250 ms, 1.2 % lost, 180 h left";
        assert!(line == long && line.len() <= 80, "{line}");
        let calm = Path { loss_ppm: Some(499), round_trip: millis(0), ..path };
        let line = progress(&Transfer { path: calm, ..transfer(Direction::In, TransferState::Moving) });
        assert_eq!(line, "#4 film.mp4 from yoda: 25 %, 12.3 Mbit/s, lan <1 ms, 0 s left");
    }

    #[test]
    fn a_transfer_that_stands_still_says_why() {
        let told = |state| {
            let transfer = transfer(Direction::Out, state);
            (lines(&Event::Transfer(transfer.clone())), progress(&transfer))
        };
        let (line, listed) = told(TransferState::Waiting(Waiting::Acceptance));
        assert_eq!(line, "film.mp4 to yoda waits for yoda to accept.");
        assert_eq!(listed, "#4 film.mp4 to yoda: waiting for yoda to accept");
        assert_eq!(
            told(TransferState::Waiting(Waiting::Source)).0,
            "film.mp4 to yoda waits for more from standard input."
        );
        let (line, listed) = told(TransferState::Paused { silent: Duration::from_secs(130) });
        assert!(line.contains("nothing was heard of yoda's computer for 3 min. It goes on"), "{line}");
        assert_eq!(listed, "#4 film.mp4 to yoda: paused, nothing heard for 3 min");
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (27_400_000_000, "27.4 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn nothing_from_others_reaches_the_terminal_as_it_is() {
        let nasty = "a\u{1b}[2J\u{202e}b\nError.";
        let from = yoda();
        let events = [
            Event::Broadcast { number: MessageNumber(1), at: AT, from: from.clone(), text: nasty.into() },
            Event::DirectMessage { number: MessageNumber(1), at: AT, from: from.clone(), text: nasty.into() },
            Event::RoomMessage {
                room: RoomId(1),
                number: MessageNumber(1),
                at: AT,
                from: from.clone(),
                text: nasty.into(),
            },
            Event::History { kind: HistoryKind::Broadcast, messages: vec![past(None, 1, nasty)] },
            Event::Offer {
                id: OfferId(1),
                from,
                name: FileLabel::new(nasty),
                bytes: Some(1),
                entries: None,
                held: false,
            },
            Event::NotRemembered { user: yoda(), reason: nasty.into() },
            Event::Error(Failure::LimitReached(nasty.into())),
            Event::Error(Failure::NoSuchUser(vec![nasty.into()])),
            Event::Sent { kind: PostKind::Direct(nasty.into()), number: MessageNumber(1), at: AT },
            Event::ConnectionLost { reason: nasty.into(), was_logged_in: true, server_key_changed: false },
            Event::ConnectionLost { reason: nasty.into(), was_logged_in: true, server_key_changed: true },
            Event::Reconnecting { reason: nasty.into(), unanswered: 2 },
            Event::Transfer(transfer(
                Direction::In,
                TransferState::Done { blake3: [0; 32], saved_as: Some(nasty.into()) },
            )),
            Event::Transfer(transfer(Direction::In, TransferState::Failed(TransferFailure::Write(nasty.into())))),
            Event::Transfers(vec![transfer(
                Direction::In,
                TransferState::Failed(TransferFailure::Write(nasty.into())),
            )]),
        ];
        for event in &events {
            let line = lines(event);
            assert!(!line.contains(is_unprintable), "{line:?}");
            assert!(!line.contains("[2J"), "{line:?}");
        }
    }

    #[test]
    fn names_of_early_accounts_that_hide_something_show_it() {
        let early = UserName::read("yo\u{200b}da").unwrap();
        let moving = Transfer { peer: early.clone(), ..transfer(Direction::In, TransferState::Moving) };
        assert!(progress(&moving).contains("yo\u{fffd}da"));
        for event in [
            Event::Broadcast { number: MessageNumber(1), at: AT, from: early.clone(), text: "x".into() },
            Event::Joined { user: early.clone() },
            Event::RoomCreated(RoomInfo { room: RoomId(1), members: vec![early.clone()] }),
            Event::Transfers(vec![moving.clone()]),
            Event::Transfer(Transfer { state: TransferState::Starting, ..moving }),
            Event::Bye { user: early },
        ] {
            assert!(lines(&event).contains("yo\u{fffd}da"), "{event:?}");
        }
    }

    #[test]
    fn nobody_says_how_long_a_stream_is_before_its_end() {
        let stream = |state| Transfer { total: None, ..transfer(Direction::In, state) };
        assert_eq!(
            progress(&stream(TransferState::Moving)),
            "#4 film.mp4 from yoda: 500 bytes so far, 12.3 Mbit/s, direct"
        );
        let starting = lines(&Event::Transfer(stream(TransferState::Starting)));
        assert_eq!(starting, "film.mp4 (a stream) is coming from yoda; CANCEL 4 ends it.");
        let done = TransferState::Done { blake3: [0; 32], saved_as: Some("-".into()) };
        let done = lines(&Event::Transfer(transfer(Direction::In, done)));
        assert_eq!(done, "film.mp4 from yoda has arrived, complete and verified (2.0 kB).");
    }

    #[test]
    fn an_offer_says_what_there_is_to_do() {
        let (id, name, bytes) = (OfferId(7), FileLabel::new("a.mp4"), Some(1_000));
        let offer = |held| Event::Offer { id, from: yoda(), name: name.clone(), bytes, entries: None, held };
        for (held, accept, words) in [
            (false, AcceptPolicy::Ask, "Type ACCEPT 7 or REJECT 7."),
            (false, AcceptPolicy::All, "Offer 7 is being accepted."),
            (true, AcceptPolicy::All, "Their key has changed; type ACCEPT 7 or REJECT 7."),
            (false, AcceptPolicy::None, "Offer 7 is being rejected."),
        ] {
            assert_eq!(render(&offer(held), accept), Some(format!("yoda offers you a.mp4 (1.0 kB). {words}")));
        }
    }

    #[test]
    fn a_changed_key_cannot_be_overlooked() {
        let changed = |verified| lines(&Event::PeerKeyChanged { user: yoda(), key: PublicKey([0; 32]), verified });
        let key = "a".repeat(52);
        for (verified, then) in [(true, "their file was refused"), (false, "is not accepted automatically any more")] {
            let text = changed(verified);
            assert!(text.starts_with(&format!("THE KEY OF yoda HAS CHANGED. Now it is\n  {key}\n")), "{text}");
            assert!(text.contains(then) && text.contains("VERIFY yoda"), "{text}");
        }
    }

    #[test]
    fn a_safety_number_is_shown_with_what_to_do() {
        let (user, keys) = (yoda(), [PublicKey([0; 32])]);
        let number = SafetyNumber::of(AccountKeys { name: &user, keys: &keys }, AccountKeys { name: &user, keys: &[] });
        let shown =
            |verified| lines(&Event::SafetyNumber { user: yoda(), number, devices: 2, own_devices: 1, verified });
        let text = shown(false);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(format!("{} {}", rows[1].trim(), rows[2].trim()), number.to_string());
        assert!(rows[3].starts_with("It is of 2 devices of yoda and 1 device of yours. Compare it"), "{text}");
        assert!(text.ends_with("type VERIFY yoda yes."), "{text}");
        assert!(shown(true).ends_with("yoda is verified: files go to and come from these devices and no others."));
    }

    #[test]
    fn other_events_are_sentences() {
        let room = RoomInfo { room: RoomId(2), members: vec![UserName::new("luke").unwrap(), yoda()] };
        for (event, line) in [
            (Event::Joined { user: yoda() }, "yoda is active now."),
            (Event::Left { user: yoda() }, "yoda is not active any more."),
            (Event::RoomCreated(room.clone()), "Separate room 2 has been created, users in this room: luke, yoda."),
            (Event::RoomExists(room.clone()), "A separate room (id 2) exists already for these users: luke, yoda."),
            (Event::RoomChanged(room.clone()), "Users in separate room 2 now: luke, yoda."),
            (Event::LeftRoom { room: RoomId(2) }, "You have left separate room 2."),
            (Event::Rooms(vec![room]), "room-2: luke, yoda"),
            (Event::Rooms(vec![]), "You are in no separate room."),
            (Event::Transfers(vec![]), "no transfer"),
            (Event::OfferAnswered { id: OfferId(4), accepted: false }, "Offer 4 is rejected."),
            (Event::LoginFailed(LoginRefusal::AlreadyActive), "This user is logged in already."),
            (
                Event::ConnectionLost { reason: "refused.".into(), was_logged_in: false, server_key_changed: false },
                "There is no connection to the server: refused.",
            ),
        ] {
            assert_eq!(lines(&event), line);
        }
    }
}
