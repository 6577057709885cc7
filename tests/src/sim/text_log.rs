//! The assignment's text logs, in memory, from the same facts as the real ones.

use std::fmt::Write;

use toom_core::id::RoomId;
use toom_core::server::activity::Activity;
use toom_core::server::fact::{Conversation, Message};
use toom_core::server::io::Presence;
use toom_core::text::escape_log_field;
use toom_store::wall;

use super::store::Durable;

/// Who is active, as `userlog.txt` has it.
#[derive(Debug, Default)]
pub struct UserLog(Vec<Presence>);

impl UserLog {
    /// Something happened.
    pub fn activity(&mut self, activity: &Activity) {
        match activity {
            Activity::LoggedIn(presence) => self.0.push(presence.clone()),
            Activity::LoggedOut { user, .. } => self.0.retain(|row| row.name != *user),
            _ => {}
        }
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (row, number) in self.0.iter().zip(1..) {
            let Presence { name, address, udp_port, since } = row;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{number}; {}; {name}; {address}; {udp_port}", wall::written(*since));
        }
        text
    }
}

/// `messagelog.txt`, or the log of a room.
pub fn message_log(durable: &Durable, room: Option<RoomId>) -> String {
    let conversation = room.map_or(Conversation::Broadcast, Conversation::Room);
    let row = |message: &Message| {
        let (at, text) = (wall::written(message.at), escape_log_field(&message.text));
        format!("{}; {at}; {}; {text}\n", message.number, message.from)
    };
    durable.messages(&conversation).map(row).collect()
}
