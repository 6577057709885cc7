//! A typed line becomes a command.

use core::fmt;

use toom_core::client::command::Command;
use toom_core::id::{OfferId, RoomId};
use toom_core::time::Timestamp;
use toom_core::wire::limits::MAX_PAGE_MESSAGES;
use toom_core::wire::message::HistoryKind;

use super::help::{self, CommandHelp};

/// How many messages `LAST` shows if nobody says how many.
const DEFAULT_LATEST: u32 = 20;
/// How many it shows at most: one page.
const MOST_LATEST: u64 = MAX_PAGE_MESSAGES as u64;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Something for the client.
    Command(Command),
    /// Help on one command, or on all.
    Help(Option<&'static CommandHelp>),
    /// Nothing: the line is blank.
    Blank,
}

/// Why a line asks for nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// There is no such command.
    UnknownCommand,
    /// Missing, extra or malformed arguments; a sentence that shows the usage.
    Usage(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::UnknownCommand => f.write_str("Error. Invalid command!"),
            ParseError::Usage(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for ParseError {}

/// Reads a line without its end. `parse_time` reads a time such as `1 Jun 2022 16:00:00`.
///
/// White space around arguments is not part of them, but inside a text or a file's name it is.
pub(crate) fn parse(line: &str, parse_time: impl Fn(&str) -> Option<Timestamp>) -> Result<Parsed, ParseError> {
    let (word, rest) = first_word(line);
    if word.is_empty() {
        return Ok(Parsed::Blank);
    }
    let help = help::find(word).ok_or(ParseError::UnknownCommand)?;
    if help.name == "HELP" {
        return parse_help(rest);
    }
    let arguments = Arguments { help, rest };
    let command = match help.name {
        "BCM" => Command::Broadcast { text: arguments.text("the text is missing")? },
        "ATU" => arguments.none(Command::ActiveUsers)?,
        "SRB" => Command::BuildRoom { users: arguments.users()? },
        "SRM" => {
            let (room, rest) = arguments.room()?;
            Command::RoomMessage { room, text: rest.text("the text is missing")? }
        }
        "RDM" => arguments.history(parse_time)?,
        "UPD" => {
            let (to, rest) = arguments.word("the user is missing")?;
            Command::SendFiles { to, paths: vec![rest.text("the file is missing")?.into()] }
        }
        "OUT" => arguments.none(Command::Logout)?,
        "MSG" => {
            let (to, rest) = arguments.word("the user is missing")?;
            Command::DirectMessage { to, text: rest.text("the text is missing")? }
        }
        "ROOMS" => arguments.none(Command::Rooms)?,
        "INVITE" => {
            let (room, rest) = arguments.room()?;
            let (user, rest) = rest.word("the user is missing")?;
            rest.none(Command::Invite { room, user })?
        }
        "LEAVE" => {
            let (room, rest) = arguments.room()?;
            rest.none(Command::Leave { room })?
        }
        "ACCEPT" => Command::Accept { offer: arguments.offer()? },
        "REJECT" => Command::Reject { offer: arguments.offer()? },
        "TRANSFERS" => arguments.none(Command::Transfers)?,
        "CANCEL" => Command::Cancel { transfer: arguments.offer()? },
        "FIND" => Command::Find { text: arguments.text("the words are missing")? },
        "LAST" => arguments.latest()?,
        "VERIFY" => {
            let (user, rest) = arguments.word("the user is missing")?;
            Command::Verify { user, confirm: rest.yes()? }
        }
        _ => return Err(ParseError::UnknownCommand),
    };
    Ok(Parsed::Command(command))
}

fn parse_help(rest: &str) -> Result<Parsed, ParseError> {
    match first_word(rest) {
        ("", _) => Ok(Parsed::Help(None)),
        (word, "") => match help::find(word) {
            Some(topic) => Ok(Parsed::Help(Some(topic))),
            None => Err(ParseError::Usage("There is no such command; HELP alone shows all of them.".into())),
        },
        _ => Err(ParseError::Usage("There are too many arguments; the usage is: HELP [command]".into())),
    }
}

/// What is left of a line, and whose arguments these are.
struct Arguments<'a> {
    help: &'static CommandHelp,
    rest: &'a str,
}

impl<'a> Arguments<'a> {
    fn usage(&self, why: &str) -> ParseError {
        let mut characters = why.chars();
        let first = characters.next().map(|c| c.to_ascii_uppercase());
        let why: String = first.into_iter().chain(characters).collect();
        ParseError::Usage(format!("{why}; the usage is: {}", self.help.usage()))
    }

    fn none(&self, command: Command) -> Result<Command, ParseError> {
        if self.rest.is_empty() { Ok(command) } else { Err(self.usage("there are too many arguments")) }
    }

    fn text(&self, missing: &str) -> Result<String, ParseError> {
        if self.rest.is_empty() { Err(self.usage(missing)) } else { Ok(self.rest.to_owned()) }
    }

    fn word(self, missing: &str) -> Result<(String, Arguments<'a>), ParseError> {
        match first_word(self.rest) {
            ("", _) => Err(self.usage(missing)),
            (word, rest) => Ok((word.to_owned(), Arguments { rest, ..self })),
        }
    }

    fn yes(&self) -> Result<bool, ParseError> {
        match self.rest {
            "" => Ok(false),
            "yes" => Ok(true),
            _ => Err(self.usage("only yes can follow the user")),
        }
    }

    fn users(&self) -> Result<Vec<String>, ParseError> {
        let users: Vec<String> = self.rest.split_whitespace().map(str::to_owned).collect();
        if users.is_empty() { Err(self.usage("the users are missing")) } else { Ok(users) }
    }

    fn room(self) -> Result<(RoomId, Arguments<'a>), ParseError> {
        let (word, rest) = first_word(self.rest);
        match number(word) {
            // No server has so many rooms, so that any larger number is just a room that does not exist.
            Some(id) => Ok((RoomId(u32::try_from(id).unwrap_or(u32::MAX)), Arguments { rest, ..self })),
            None if word.is_empty() => Err(self.usage("the room's id is missing")),
            None => Err(self.usage("the room's id must be an integer such as 1")),
        }
    }

    fn offer(&self) -> Result<OfferId, ParseError> {
        match first_word(self.rest) {
            ("", _) => Err(self.usage("the id is missing")),
            (word, "") => number(word).map(OfferId).ok_or_else(|| self.usage("the id must be an integer such as 1")),
            _ => Err(self.usage("there are too many arguments")),
        }
    }

    fn latest(self) -> Result<Command, ParseError> {
        let (place, count) = first_word(self.rest);
        let room = match (place, number(place)) {
            ("b", _) => None,
            (_, Some(id)) => Some(RoomId(u32::try_from(id).unwrap_or(u32::MAX))),
            ("", _) => return Err(self.usage("b or a room's id is missing")),
            _ => return Err(self.usage("it must be b (broadcast) or a room's id, an integer such as 1")),
        };
        let count = match (count, number(count)) {
            ("", _) => DEFAULT_LATEST,
            (_, Some(count @ 1..=MOST_LATEST)) => u32::try_from(count).unwrap_or(DEFAULT_LATEST),
            _ => return Err(self.usage(&format!("the count must be an integer from 1 to {MOST_LATEST}"))),
        };
        Ok(Command::Latest { room, count })
    }

    fn history(&self, parse_time: impl Fn(&str) -> Option<Timestamp>) -> Result<Command, ParseError> {
        let (kind, time) = first_word(self.rest);
        let kind = match kind {
            "b" => HistoryKind::Broadcast,
            "s" => HistoryKind::Rooms,
            "" => return Err(self.usage("the kind of messages and the time are missing")),
            _ => return Err(self.usage("the kind of messages must be b (broadcast) or s (separate rooms)")),
        };
        let time = time.split_whitespace().collect::<Vec<_>>().join(" ");
        match parse_time(&time) {
            Some(since) => Ok(Command::History { kind, since }),
            None if time.is_empty() => Err(self.usage("the time is missing")),
            None => Err(self.usage("the time must be written as in 1 Jun 2022 16:00:00")),
        }
    }
}

/// The first word of `text` and what follows it, without the white space around either.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// An integer without a sign, saturating.
fn number(word: &str) -> Option<u64> {
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| word.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Parsed, ParseError> {
        parse(line, |time| (time == "1 Jun 2022 16:00:00").then(|| Timestamp::from_millis(7)))
    }

    fn usage(line: &str) -> String {
        match read(line) {
            Err(ParseError::Usage(sentence)) => sentence,
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn every_command_is_read_under_both_of_its_names() {
        let since = Timestamp::from_millis(7);
        for (name, alias, arguments, command) in [
            ("BCM", "/all", " Hello there", Command::Broadcast { text: "Hello there".into() }),
            ("ATU", "/who", "", Command::ActiveUsers),
            ("SRB", "/room", " yoda luke", Command::BuildRoom { users: vec!["yoda".into(), "luke".into()] }),
            ("SRM", "/say", " 2 hi you", Command::RoomMessage { room: RoomId(2), text: "hi you".into() }),
            ("RDM", "/read", " b 1 Jun 2022 16:00:00", Command::History { kind: HistoryKind::Broadcast, since }),
            ("RDM", "/read", " s 1 Jun 2022 16:00:00", Command::History { kind: HistoryKind::Rooms, since }),
            ("UPD", "/send", " yoda a b.mp4", Command::SendFiles { to: "yoda".into(), paths: vec!["a b.mp4".into()] }),
            ("OUT", "/quit", "", Command::Logout),
            ("MSG", "/msg", " yoda hi you", Command::DirectMessage { to: "yoda".into(), text: "hi you".into() }),
            ("ROOMS", "/rooms", "", Command::Rooms),
            ("INVITE", "/invite", " 3 leia", Command::Invite { room: RoomId(3), user: "leia".into() }),
            ("LEAVE", "/leave", " 3", Command::Leave { room: RoomId(3) }),
            ("ACCEPT", "/accept", " 4", Command::Accept { offer: OfferId(4) }),
            ("REJECT", "/reject", " 4", Command::Reject { offer: OfferId(4) }),
            ("TRANSFERS", "/transfers", "", Command::Transfers),
            ("FIND", "/find", " two wor*", Command::Find { text: "two wor*".into() }),
            ("LAST", "/last", " b", Command::Latest { room: None, count: 20 }),
            ("LAST", "/last", "  7 512 ", Command::Latest { room: Some(RoomId(7)), count: 512 }),
            ("CANCEL", "/cancel", " 4", Command::Cancel { transfer: OfferId(4) }),
            ("VERIFY", "/verify", " yoda", Command::Verify { user: "yoda".into(), confirm: false }),
            ("VERIFY", "/verify", " yoda  yes", Command::Verify { user: "yoda".into(), confirm: true }),
        ] {
            for line in [format!("{name}{arguments}"), format!("  {alias}{arguments}\r\n")] {
                assert_eq!(read(&line), Ok(Parsed::Command(command.clone())), "{line:?}");
            }
        }
    }

    #[test]
    fn every_command_of_the_help_is_one_that_is_read() {
        for command in help::COMMANDS {
            assert!(read(command.example).is_ok(), "{}", command.example);
        }
    }

    #[test]
    fn inner_spaces_of_texts_and_file_names_are_kept() {
        assert_eq!(read("BCM a  b\t c "), Ok(Parsed::Command(Command::Broadcast { text: "a  b\t c".into() })));
        let path = "my  film (2).mp4".into();
        assert_eq!(
            read("UPD yoda my  film (2).mp4"),
            Ok(Parsed::Command(Command::SendFiles { to: "yoda".into(), paths: vec![path] }))
        );
    }

    #[test]
    fn unknown_commands_are_told_in_the_words_of_the_assignment() {
        for line in ["XYZ", "bcm hello", "/ALL x", "hello there", "LOGIN a b"] {
            let error = read(line).unwrap_err();
            assert_eq!(error, ParseError::UnknownCommand, "{line:?}");
            assert_eq!(error.to_string(), "Error. Invalid command!");
        }
    }

    #[test]
    fn a_blank_line_asks_for_nothing() {
        for line in ["", "  ", "\r\n", "\t"] {
            assert_eq!(read(line), Ok(Parsed::Blank));
        }
    }

    #[test]
    fn wrong_arguments_are_told_with_the_usage() {
        for line in [
            "BCM",
            "BCM  ",
            "ATU x",
            "SRB",
            "SRM",
            "SRM 1",
            "SRM x hello",
            "SRM -1 hello",
            "RDM",
            "RDM b",
            "RDM x 1 Jun 2022 16:00:00",
            "RDM b yesterday",
            "RDM 1 Jun 2022 16:00:00",
            "UPD",
            "UPD yoda",
            "OUT now",
            "MSG",
            "MSG yoda",
            "ROOMS 1",
            "INVITE",
            "INVITE 1",
            "INVITE x yoda",
            "INVITE 1 yoda luke",
            "LEAVE",
            "LEAVE x",
            "LEAVE 1 2",
            "ACCEPT",
            "ACCEPT x",
            "ACCEPT 1 2",
            "REJECT",
            "REJECT 1.5",
            "TRANSFERS 1",
            "CANCEL",
            "CANCEL x",
            "HELP BCM ATU",
        ] {
            let name = line.split(' ').next().unwrap();
            let command = help::find(name).unwrap();
            let sentence = usage(line);
            assert!(sentence.ends_with(&format!("; the usage is: {}", command.usage())), "{line:?}: {sentence}");
        }
        assert_eq!(usage("SRM x hello"), "The room's id must be an integer such as 1; the usage is: SRM room-id text");
    }

    #[test]
    fn numbers_beyond_every_room_are_rooms_that_do_not_exist() {
        let text = "x".to_owned();
        assert_eq!(
            read("SRM 99999999999999999999999 x"),
            Ok(Parsed::Command(Command::RoomMessage { room: RoomId(u32::MAX), text }))
        );
    }

    #[test]
    fn help_is_on_all_commands_or_on_one() {
        assert_eq!(read("HELP"), Ok(Parsed::Help(None)));
        assert_eq!(read("/help /read"), Ok(Parsed::Help(help::find("RDM"))));
        assert_eq!(usage("HELP XYZ"), "There is no such command; HELP alone shows all of them.");
    }
}
