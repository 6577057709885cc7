//! Where the client's output goes: above the line being typed, to plain standard output, or as JSON.

use std::io::{self, IsTerminal};
use std::time::Instant;

use serde_json::Value;
use toom_core::client::event::{Event, TransferState};
use toom_core::client::io::AcceptPolicy;

use super::above::Above;
use super::editor::Editor;
use super::progress::Progress;
use crate::args::Global;
use crate::color::Paint;
use crate::line::help::{self, CommandHelp};
use crate::line::parse::ParseError;
use crate::line::{human, json};
use crate::{log, output};

/// Shows what happened.
pub(super) struct Screen {
    kind: Kind,
    paint: Paint,
    progress: Progress,
    /// `HOST:PORT`, as given.
    server: String,
    /// Who is logged in.
    user: String,
    /// What is done about offers.
    accept: AcceptPolicy,
}

enum Kind {
    Plain,
    Edited(Above),
    Json,
}

/// How many commands a script may have under way: fewer than a client takes, so that none is refused.
const SCRIPT_PIPELINE: usize = 64;

impl Screen {
    /// The screen that fits the standard streams, with a line editor if people sit at both.
    pub(super) fn new(global: &Global, server: String, accept: AcceptPolicy) -> (Screen, Option<Editor>) {
        let people = io::stdin().is_terminal() && io::stdout().is_terminal();
        let paint = Paint::new(global.color, &io::stdout());
        let open = || if people && !global.json { Editor::open(paint) } else { None };
        let (kind, editor) = match (global.json, open()) {
            (true, _) => (Kind::Json, None),
            (false, Some((editor, above))) => {
                let logged = above.clone();
                log::redirect(Some(Box::new(move |line| drop(logged.print(format!("{line}\n"))))));
                (Kind::Edited(above), Some(editor))
            }
            (false, None) => (Kind::Plain, None),
        };
        (Screen { kind, paint, progress: Progress::default(), server, user: String::new(), accept }, editor)
    }

    /// Whether a script reads the output.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.kind, Kind::Json)
    }

    /// How many commands may wait for their answers before the next one is read; `None` if people decide that
    /// for themselves. Without an editor it is one, so that every answer follows its command.
    pub(super) fn pipeline(&self) -> Option<usize> {
        match self.kind {
            Kind::Plain => Some(1),
            Kind::Edited(_) => None,
            Kind::Json => Some(SCRIPT_PIPELINE),
        }
    }

    /// Shows an event. An error means that nobody reads the output any more.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Welcome { user, .. } = event {
            self.user = user.to_string();
        }
        if self.is_json() {
            return self.object(&json::render(event, &self.user));
        }
        let other = match event {
            Event::Reconnecting { reason, unanswered } => {
                return self.text(&self.paint.error(&human::reconnecting(&self.server, reason, *unanswered)));
            }
            Event::Transfer(transfer) if self.progress.is_news(transfer, Instant::now()) => {
                Some(human::progress(transfer))
            }
            _ => None,
        };
        match human::render(event, self.accept).or(other) {
            Some(text) if is_bad(event) => self.text(&self.paint.error(&text)),
            Some(text) => self.text(&text),
            None => Ok(()),
        }
    }

    /// Answers a line that is no command.
    pub(super) fn parse_error(&mut self, error: &ParseError) -> io::Result<()> {
        match self.is_json() {
            true => self.object(&json::parse_error(error)),
            false => self.text(&self.paint.error(&error.to_string())),
        }
    }

    /// Answers `HELP`.
    pub(super) fn help(&mut self, topic: Option<&CommandHelp>) -> io::Result<()> {
        match self.is_json() {
            true => self.object(&json::help(topic)),
            false => self.text(&help::text(topic)),
        }
    }

    /// The editor is gone: from now on lines go straight to standard output.
    pub(super) fn end(&mut self) {
        log::redirect(None);
        if let Kind::Edited(above) = &self.kind {
            let rest = above.rest();
            if !rest.is_empty() {
                // It is the end anyway, with or without somebody who reads it.
                let _ = output::line(rest.trim_end_matches('\n'));
            }
            self.kind = Kind::Plain;
        }
    }

    fn object(&mut self, object: &Value) -> io::Result<()> {
        output::line(&object.to_string())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        match &mut self.kind {
            Kind::Edited(above) => above.print(format!("{text}\n")),
            Kind::Plain | Kind::Json => output::line(text),
        }
    }
}

/// Whether something went wrong.
fn is_bad(event: &Event) -> bool {
    match event {
        Event::Error(_) | Event::LoginFailed(_) | Event::ConnectionLost { .. } => true,
        Event::Transfer(transfer) => matches!(transfer.state, TransferState::Failed(_)),
        _ => false,
    }
}
