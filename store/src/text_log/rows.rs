//! What the text logs say: pure, so that the simulator can compare it.

use std::fmt::Write as _;

use toom_core::name::UserName;
use toom_core::server::fact::{Conversation, Message};
use toom_core::server::io::Presence;
use toom_core::text::escape_log_field;

use crate::wall;

/// `userlog.txt`: a row for each active user, numbered from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserLog {
    active: Vec<Presence>,
}

impl UserLog {
    /// A user became active: a row is added at the end.
    pub fn login(&mut self, presence: Presence) {
        self.logout(&presence.name);
        self.active.push(presence);
    }

    /// A user is connected again, maybe from elsewhere: the row is changed.
    pub fn resumed(&mut self, presence: Presence) {
        if let Some(row) = self.active.iter_mut().find(|row| row.name == presence.name) {
            *row = presence;
        }
    }

    /// A user is not active any more: the row is removed, and those below move up.
    pub fn logout(&mut self, name: &UserName) {
        self.active.retain(|presence| presence.name != *name);
    }

    /// The whole file.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (number, presence) in (1..).zip(&self.active) {
            let Presence { name, address, udp_port, since } = presence;
            let (since, name) = (wall::written(*since), escape_log_field(name.as_str()));
            // Writing to a String does not fail.
            let _ = writeln!(text, "{number}; {since}; {name}; {address}; {udp_port}");
        }
        text
    }
}

/// The row of a message, with its line feed.
pub fn message_row(message: &Message) -> String {
    let (from, text) = (escape_log_field(message.from.as_str()), escape_log_field(&message.text));
    format!("{}; {}; {from}; {text}\n", message.number, wall::written(message.at))
}

/// The file that has the messages of a conversation; `None` for those of two people.
pub fn file_name(conversation: &Conversation) -> Option<String> {
    match conversation {
        Conversation::Broadcast => Some("messagelog.txt".into()),
        Conversation::Room(room) => Some(format!("SR_{room}_messagelog.txt")),
        Conversation::Direct(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use toom_core::id::{LogIndex, MessageNumber, RoomId};
    use toom_core::text::{is_control, unescape_log_field};
    use toom_core::time::Timestamp;

    fn name(text: &str) -> UserName {
        UserName::new(text).expect("a name")
    }

    fn presence(text: &str, port: u16) -> Presence {
        let since = Timestamp::from_millis(1_654_063_500_000 + i64::from(port) * 1000);
        Presence { name: name(text), address: [129, 64, 1, 11].into(), udp_port: port, since }
    }

    fn message(text: &str) -> Message {
        Message {
            conversation: Conversation::Broadcast,
            number: MessageNumber(1),
            at: Timestamp::from_millis(1_654_063_500_000),
            from: name("yoda"),
            text: text.into(),
            index: LogIndex(1),
        }
    }

    #[test]
    fn who_is_connected_again_keeps_the_place_and_others_get_none() {
        let mut log = UserLog::default();
        let (yoda, luke) = (presence("yoda", 1), presence("luke", 2));
        log.login(yoda.clone());
        log.login(luke);
        log.resumed(Presence { udp_port: 9, ..yoda });
        log.resumed(presence("han", 3));
        let rows: Vec<String> =
            log.render().lines().map(|row| row.rsplit("; ").take(3).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows, ["9 129.64.1.11 yoda", "2 129.64.1.11 luke"]);
    }

    #[test]
    fn active_users_are_renumbered_when_one_leaves() {
        let mut log = UserLog::default();
        for (user, port) in [("yoda", 1), ("luke", 2), ("leia", 3)] {
            log.login(presence(user, port));
        }
        let since = |port: u16| wall::written(presence("x", port).since);
        let (first, second, third) = (since(1), since(2), since(3));
        assert_eq!(
            log.render(),
            format!(
                "1; {first}; yoda; 129.64.1.11; 1\n2; {second}; luke; 129.64.1.11; 2\n3; {third}; leia; 129.64.1.11; 3\n"
            )
        );
        log.logout(&name("luke"));
        log.logout(&name("nobody"));
        assert_eq!(log.render(), format!("1; {first}; yoda; 129.64.1.11; 1\n2; {third}; leia; 129.64.1.11; 3\n"));
        log.logout(&name("leia"));
        log.logout(&name("yoda"));
        assert_eq!(log.render(), "");
    }

    #[test]
    fn a_second_login_of_one_name_leaves_one_row() {
        let mut log = UserLog::default();
        log.login(presence("yoda", 1));
        log.login(presence("yoda", 2));
        assert_eq!(log.render().lines().count(), 1);
        assert!(log.render().ends_with("; 2\n"));
    }

    #[test]
    fn files_are_named_as_in_the_assignment() {
        assert_eq!(file_name(&Conversation::Broadcast).as_deref(), Some("messagelog.txt"));
        assert_eq!(file_name(&Conversation::Room(RoomId(7))).as_deref(), Some("SR_7_messagelog.txt"));
        assert_eq!(file_name(&Conversation::direct(&name("a"), &name("b"))), None);
    }

    proptest! {
        #[test]
        fn a_message_is_one_row_of_four_fields_whatever_its_text(text in any::<String>()) {
            let row = message_row(&message(&text));
            prop_assert!(row.ends_with('\n') && row.matches(|c| is_control(c) && c != '\t').count() == 1);
            let fields: Vec<&str> = row.trim_end_matches('\n').splitn(4, "; ").collect();
            prop_assert_eq!(fields[..1].join(""), "1");
            prop_assert_eq!(fields[2], "yoda");
            let kept = |c| if is_control(c) && !"\t\r\n".contains(c) { '\u{fffd}' } else { c };
            prop_assert_eq!(unescape_log_field(fields[3]), Some(text.chars().map(kept).collect()));
        }
    }
}
