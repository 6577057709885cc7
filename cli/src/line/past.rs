//! Messages that were said before, as plain lines: pages of history, what was found, and how much is new.

use toom_core::text::printable;
use toom_core::wire::message::{FoundIn, FoundMessage, HistoryKind, News, PastMessage};
use toom_store::wall::written;

/// The answer to `RDM`.
pub(super) fn history(kind: HistoryKind, messages: &[PastMessage]) -> String {
    if messages.is_empty() {
        return "no new message".into();
    }
    let mut lines = Vec::with_capacity(messages.len());
    let mut heading = None;
    for message in messages {
        let PastMessage { number, at, from, text, room } = message;
        let line = format!("#{number}, {}, {from}: {}", written(*at), printable(text));
        match (kind, room) {
            (HistoryKind::Rooms, Some(id)) => {
                if heading != Some(id) {
                    lines.push(format!("room-{id}:"));
                    heading = Some(id);
                }
                lines.push(format!("  {line}"));
            }
            _ => lines.push(line),
        }
    }
    lines.join("\n")
}

/// The answer to `LAST`. The room was asked for, so it is not named.
pub(super) fn latest(messages: &[PastMessage], more: bool) -> String {
    if messages.is_empty() {
        return "no message".into();
    }
    let line = |message: &PastMessage| {
        let PastMessage { number, at, from, text, .. } = message;
        format!("#{number}, {}, {from}: {}", written(*at), printable(text))
    };
    let older = if more { "Older messages are not shown.\n" } else { "" };
    older.to_owned() + &messages.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What was said since the last time, in numbers.
pub(super) fn new_since(news: &News) -> String {
    let News { since, broadcasts, rooms, mentions, more } = news;
    let count = |count: u64, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let mut parts = Vec::new();
    if *broadcasts > 0 {
        parts.push(count(*broadcasts, "broadcast message"));
    }
    let in_rooms: u64 = rooms.iter().map(|(_, messages)| messages).sum();
    if in_rooms > 0 {
        let least = if *more { "at least " } else { "" };
        let (messages, rooms) = (count(in_rooms, "message"), count(rooms.len() as u64, "separate room"));
        parts.push(format!("{least}{messages} in {rooms}"));
    }
    let named = match mentions {
        None | Some(0) => String::new(),
        Some(1) => " 1 of them names you.".into(),
        Some(many) => format!(" {many} of them name you."),
    };
    format!("New since you left at {}: {}.{named}", written(*since), parts.join(" and "))
}

/// The answer to `FIND`. The newest is the last line, as in a conversation.
pub(super) fn found(messages: &[FoundMessage], more: bool) -> String {
    if messages.is_empty() {
        return "no message found".into();
    }
    let line = |message: &FoundMessage| {
        let FoundMessage { place, number, at, from, text } = message;
        let place = match place {
            FoundIn::Broadcast => "Broadcast".to_owned(),
            FoundIn::Room(room) => format!("Room {room}"),
            FoundIn::Direct(peer) if peer == from => "Direct message".to_owned(),
            FoundIn::Direct(peer) => format!("Direct message to {peer}"),
        };
        format!("{place} #{number}, {}, {from}: {}", written(*at), printable(text))
    };
    let older = more.then(|| format!("There are more than these {}, for older ones add a word.", messages.len()));
    older.into_iter().chain(messages.iter().rev().map(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::id::{MessageNumber, RoomId};
    use toom_core::name::UserName;
    use toom_core::time::Timestamp;

    const AT: Timestamp = Timestamp::from_millis(1_654_063_500_000);

    fn yoda() -> UserName {
        UserName::new("yoda").unwrap()
    }

    fn past(room: Option<u32>, number: u64, text: &str) -> PastMessage {
        let room = room.map(RoomId);
        PastMessage { room, number: MessageNumber(number), at: AT, from: yoda(), text: text.into() }
    }

    #[test]
    fn what_was_found_names_its_place_and_the_newest_comes_last() {
        let at = written(AT);
        let message = |place, from: &str| {
            let from = UserName::new(from).unwrap();
            FoundMessage { place, number: MessageNumber(3), at: AT, from, text: "hi\n\u{1b}".into() }
        };
        let messages = vec![
            message(FoundIn::Direct(yoda()), "luke"),
            message(FoundIn::Direct(yoda()), "yoda"),
            message(FoundIn::Room(RoomId(2)), "luke"),
            message(FoundIn::Broadcast, "yoda"),
        ];
        let shown = found(&messages, true);
        let text = printable("hi\n\u{1b}");
        let expected = [
            "There are more than these 4, for older ones add a word.".to_owned(),
            format!("Broadcast #3, {at}, yoda: {text}"),
            format!("Room 2 #3, {at}, luke: {text}"),
            format!("Direct message #3, {at}, yoda: {text}"),
            format!("Direct message to yoda #3, {at}, luke: {text}"),
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
        assert_eq!(found(&[], false), "no message found");
    }

    #[test]
    fn room_history_is_grouped_by_room() {
        let at = written(AT);
        let messages = vec![past(Some(1), 4, "a"), past(Some(1), 5, "b"), past(Some(7), 1, "c")];
        assert_eq!(
            history(HistoryKind::Rooms, &messages),
            format!("room-1:\n  #4, {at}, yoda: a\n  #5, {at}, yoda: b\nroom-7:\n  #1, {at}, yoda: c")
        );
        let messages = vec![past(None, 1, "a"), past(None, 2, "b")];
        assert_eq!(history(HistoryKind::Broadcast, &messages), format!("#1, {at}, yoda: a\n#2, {at}, yoda: b"));
    }

    #[test]
    fn the_newest_of_a_conversation_are_lines_and_older_ones_are_mentioned() {
        let at = written(AT);
        let messages = [past(Some(1), 4, "a\u{1b}"), past(Some(1), 5, "b")];
        let text = printable("a\u{1b}");
        assert_eq!(latest(&messages, false), format!("#4, {at}, yoda: {text}\n#5, {at}, yoda: b"));
        assert!(latest(&messages, true).starts_with("Older messages are not shown.\n#4"));
        assert_eq!(latest(&[], false), "no message");
    }

    #[test]
    fn how_much_is_new_is_one_sentence() {
        let at = written(AT);
        let sentence = |broadcasts, rooms: &[(u32, u64)], mentions, more| {
            let rooms = rooms.iter().map(|(room, count)| (RoomId(*room), *count)).collect();
            new_since(&News { since: AT, broadcasts, rooms, mentions, more })
        };
        for (shown, expected) in [
            (sentence(1, &[], Some(0), false), "1 broadcast message."),
            (
                sentence(2, &[(1, 1)], Some(1), false),
                "2 broadcast messages and 1 message in 1 separate room. 1 of them names you.",
            ),
            (sentence(0, &[(1, 2), (4, 5)], Some(3), false), "7 messages in 2 separate rooms. 3 of them name you."),
            (sentence(0, &[(1, 2)], None, true), "at least 2 messages in 1 separate room."),
        ] {
            assert_eq!(shown, format!("New since you left at {at}: {expected}"));
        }
    }
}
