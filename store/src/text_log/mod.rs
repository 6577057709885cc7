//! The assignment's text logs in `DATA/logs`. To be written.

use std::path::Path;
use toom_core::server::activity::Activity;
use toom_core::server::fact::Message;

/// The thread that keeps the text logs.
#[derive(Debug)]
pub struct TextLogs(());

impl TextLogs {
    /// Writes what is missing or out of date anew from the log in `data`, and starts to follow.
    pub fn start(_data: &Path) -> Result<TextLogs, crate::log::OpenError> {
        Ok(TextLogs(()))
    }
    /// A message was numbered.
    pub fn record(&self, _message: &Message) {}
    /// Something happened.
    pub fn activity(&self, _activity: &Activity) {}
    /// Writes what is waiting and ends.
    pub fn stop(self) {}
}
