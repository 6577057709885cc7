//! The assignment's text logs, in memory, from the same facts as the real ones.

use std::collections::BTreeSet;
use std::fmt::Write;

use toom_core::id::RoomId;
use toom_core::server::activity::Activity;
use toom_core::server::fact::{Conversation, Message};
use toom_core::server::io::Presence;
use toom_core::text::escape_log_field;
use toom_core::wire::message::RoomInfo;
use toom_store::wall;

use super::store::Durable;

/// What is in `DATA/logs`.
#[derive(Debug, Default)]
pub struct TextLogs {
    active: Vec<Presence>,
    rooms: BTreeSet<RoomId>,
}

impl TextLogs {
    /// Something happened.
    pub fn activity(&mut self, activity: &Activity) {
        match activity {
            Activity::LoggedIn(presence) => self.active.push(presence.clone()),
            Activity::LoggedOut { user, .. } => self.active.retain(|row| row.name != *user),
            Activity::RoomBuilt { room: RoomInfo { room, .. }, .. } | Activity::RoomKnown { room } => {
                self.rooms.insert(*room);
            }
            _ => {}
        }
    }

    /// Who is active, longest first.
    pub fn active(&self) -> &[Presence] {
        &self.active
    }

    /// `userlog.txt`.
    pub fn user_log(&self) -> String {
        let mut text = String::new();
        for (row, number) in self.active.iter().zip(1..) {
            let Presence { name, address, udp_port, since } = row;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{number}; {}; {name}; {address}; {udp_port}", wall::written(*since));
        }
        text
    }

    /// `messagelog.txt`, or the log of a room; `None` if there is no such room.
    pub fn message_log(&self, durable: &Durable, room: Option<RoomId>) -> Option<String> {
        let conversation = match room {
            Some(room) => Conversation::Room(self.rooms.get(&room).copied()?),
            None => Conversation::Broadcast,
        };
        let row = |message: &Message| {
            let (at, text) = (wall::written(message.at), escape_log_field(&message.text));
            format!("{}; {at}; {}; {text}\n", message.number, message.from)
        };
        Some(durable.messages(&conversation).map(row).collect())
    }
}
