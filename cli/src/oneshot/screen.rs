//! What `send` and `recv` say: to people on standard error, to scripts as JSON on standard output, or on standard error
//! if the bytes of a file go there.

use std::io::{self, IsTerminal};
use std::time::Instant;

use toom_core::client::event::{Event, TransferState};
use toom_core::client::io::AcceptPolicy;

use crate::args::Global;
use crate::client::progress::Progress;
use crate::color::Paint;
use crate::line::{human, json};
use crate::output;

/// Says what happens.
pub(super) struct Screen {
    json: bool,
    /// Standard output is for something else.
    output_is_taken: bool,
    quiet: bool,
    /// Whether somebody watches how far a transfer is.
    watched: bool,
    paint: Paint,
    progress: Progress,
    /// `HOST:PORT`, as given.
    server: String,
    /// Who is logged in.
    user: String,
}

impl Screen {
    /// A screen for what happens at `server`.
    pub(super) fn new(global: &Global, server: &str, output_is_taken: bool) -> Screen {
        Screen {
            json: global.json,
            output_is_taken,
            quiet: global.quiet,
            watched: io::stderr().is_terminal() && !global.quiet,
            paint: Paint::new(global.color, &io::stderr()),
            progress: Progress::default(),
            server: server.to_owned(),
            user: String::new(),
        }
    }

    /// Whether a script reads standard output.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Says a sentence to people, unless they want to hear only what must be said.
    pub(super) fn note(&self, sentence: &str) {
        // A script that reads objects from standard error can do without it.
        if !(self.quiet || self.json && self.output_is_taken) {
            output::note(sentence);
        }
    }

    /// Shows an event. An error means that nobody reads standard output any more.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Welcome { user, .. } = event {
            self.user = user.to_string();
        }
        if self.json {
            let object = json::render(event, &self.user).to_string();
            return if self.output_is_taken { output::error_line(&object) } else { output::line(&object) };
        }
        self.show_people(event);
        Ok(())
    }

    fn show_people(&mut self, event: &Event) {
        let (text, is_bad) = match event {
            Event::Error(_)
            | Event::LoginFailed(_)
            | Event::ConnectionLost { .. }
            | Event::PeerKeyChanged { .. }
            | Event::NotRemembered { .. } => (human::render(event, AcceptPolicy::Ask), true),
            // Stored messages are delivered once: to whoever is logged in.
            Event::DirectMessage { .. } | Event::Resumed { .. } => (human::render(event, AcceptPolicy::Ask), false),
            Event::Reconnecting { reason, unanswered } => {
                (Some(human::reconnecting(&self.server, reason, *unanswered)), true)
            }
            Event::Transfer(transfer) => {
                let news = self.progress.is_news(transfer, Instant::now()) && self.watched;
                let is_bad = matches!(transfer.state, TransferState::Failed(_));
                match transfer.state {
                    // The commands have words of their own for it.
                    TransferState::Starting => (None, false),
                    TransferState::Moving => (news.then(|| human::progress(transfer)), false),
                    _ => (human::render(event, AcceptPolicy::Ask), is_bad),
                }
            }
            _ => (None, false),
        };
        match text {
            // Both are harmless already: painting comes last.
            Some(text) if is_bad => drop(output::error_line(&self.paint.error(&text))),
            Some(text) if !self.quiet => drop(output::error_line(&text)),
            _ => {}
        }
    }
}
