//! The rules of one run: login, commands, and how it ends.

use std::io;
use std::time::{Duration, Instant};

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, TransferFailure, TransferState};
use toom_core::secure::Password;
use toom_core::wire::message::LoginRefusal;
use toom_store::wall;

use super::input::{Input, Typed, Want};
use super::pace::{Line, Pace};
use super::screen::Screen;
use crate::exit::Exit;
use crate::line::parse::{Parsed, parse};
use crate::output;
use crate::runtime::Client;

/// How long a person who presses Ctrl-C waits for the server to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// How many lines of a script are read ahead while the server is gone, to see whether they end or log out.
const READ_AHEAD: usize = 1024;
/// There is nothing to wait for in particular.
const FOREVER: Duration = Duration::from_secs(3600);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for the next happening.
    GoOn,
    /// Close what is open, and exit.
    End(Exit),
    /// Exit without waiting for anything.
    GiveUp(Exit),
}

/// One run of the client.
pub(super) struct Session {
    client: Client,
    name: Option<String>,
    /// From a file or descriptor: it is tried once.
    password: Option<Password>,
    phase: Phase,
    /// How many commands may wait for their answers; `None`: as many as people type.
    pipeline: Option<usize>,
    /// The lines of a script that wait for answers to the ones before.
    pace: Pace,
    /// Whether the input has ended.
    ended: bool,
    /// Whether the connection is lost and not yet there again.
    away: bool,
    /// Whether a file was refused because somebody's key has changed.
    key_changed: bool,
    /// The event with which it ended, if it has not been shown.
    last: Option<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    LoggingIn {
        /// Whether a login was refused.
        refused: bool,
    },
    Active,
    /// The last command is given.
    Leaving {
        /// How to exit after `Bye`.
        exit: Exit,
        /// When to stop waiting for it.
        until: Option<Instant>,
    },
}

impl Session {
    /// A session of someone who has just connected.
    pub(super) fn new(
        client: Client,
        name: Option<String>,
        password: Option<Password>,
        pipeline: Option<usize>,
    ) -> Session {
        let phase = Phase::LoggingIn { refused: false };
        let pace = Pace::default();
        let (ended, away, key_changed) = (false, false, false);
        Session { client, name, password, phase, pipeline, pace, ended, away, key_changed, last: None }
    }

    /// Logs in, or asks for what is missing to do so.
    pub(super) fn begin(&self, input: &Input) {
        match (&self.name, &self.password) {
            (None, _) => input.want(Want::Name),
            (Some(_), None) => input.want(Want::Password),
            (Some(_), Some(password)) => self.log_in(password.clone()),
        }
    }

    /// The driver says something.
    pub(super) fn event(&mut self, event: &Event, screen: &mut Screen, input: &Input) -> Next {
        self.key_changed |= is_key_changed(event);
        if let Event::Bye { .. } | Event::ConnectionLost { .. } = event {
            // Shown when the line editor is out of the way.
            self.last = Some(event.clone());
            return Next::End(self.exit_after(event));
        }
        if let Err(error) = screen.event(event) {
            return self.cannot_show(&error);
        }
        match event {
            Event::Welcome { .. } if self.phase != Phase::Active => {
                self.phase = Phase::Active;
                (0..self.pipeline.unwrap_or(1)).for_each(|_| input.want(Want::Command));
            }
            Event::Reconnecting { .. } => {
                self.away = true;
                self.read_ahead(input);
                return self.carry_out_lines(screen, input);
            }
            Event::Resumed { .. } => self.away = false,
            Event::LoginFailed(refusal) => return self.refused(*refusal, input),
            event if self.pace.is_answer(event) => {
                input.want(Want::Command);
                return self.carry_out_lines(screen, input);
            }
            _ => {}
        }
        Next::GoOn
    }

    /// The person or script says something.
    pub(super) fn typed(&mut self, typed: Typed, screen: &mut Screen, input: &Input) -> Next {
        match typed {
            Typed::Name(name) => {
                self.name = Some(name);
                self.begin(input);
                Next::GoOn
            }
            Typed::Password(password) => {
                self.log_in(password);
                Next::GoOn
            }
            Typed::Line(line) => self.line(&line, screen, input),
            Typed::Ended => match self.phase {
                Phase::LoggingIn { refused } => {
                    output::note("The input has ended before anybody was logged in.");
                    Next::End(if refused { Exit::Refused } else { Exit::Failed })
                }
                Phase::Active => {
                    self.ended = true;
                    self.carry_out_lines(screen, input)
                }
                Phase::Leaving { .. } => Next::GoOn,
            },
            Typed::Interrupted => self.interrupted(),
            Typed::Failed(failure) => {
                output::note(&failure.message);
                match self.phase {
                    Phase::LoggingIn { .. } => Next::End(failure.exit),
                    _ => self.leave(Command::Logout, failure.exit, Some(GOODBYE)),
                }
            }
        }
    }

    /// Ctrl-C: log out first; whoever presses it again wants it at once.
    pub(super) fn interrupted(&mut self) -> Next {
        match self.phase {
            Phase::LoggingIn { .. } => Next::End(Exit::Interrupted),
            Phase::Leaving { exit: Exit::Interrupted, .. } => Next::GiveUp(Exit::Interrupted),
            Phase::Active | Phase::Leaving { .. } => self.leave(Command::Logout, Exit::Interrupted, Some(GOODBYE)),
        }
    }

    /// How long to wait for the next happening.
    pub(super) fn patience(&self) -> Duration {
        match self.phase {
            Phase::Leaving { until: Some(until), .. } => until.saturating_duration_since(Instant::now()),
            _ => FOREVER,
        }
    }

    /// Nothing happened for that long.
    pub(super) fn timed_out(&self) -> Next {
        match self.phase {
            Phase::Leaving { until: Some(_), exit } => Next::GiveUp(exit),
            _ => Next::GoOn,
        }
    }

    /// Shows the event with which it ended.
    pub(super) fn show_last(&mut self, screen: &mut Screen) {
        if let Some(event) = self.last.take() {
            // It is the end anyway, with or without somebody who reads about it.
            let _ = screen.event(&event);
        }
    }

    /// Waits until everything is closed.
    pub(super) fn close(self) {
        match self.phase {
            // Without a login there is no last event to wait for; dropping the client is enough.
            Phase::LoggingIn { .. } => {}
            _ => self.client.join(),
        }
    }

    fn log_in(&self, password: Password) {
        self.client.command(Command::Login { name: self.name.clone().unwrap_or_default(), password });
    }

    fn refused(&mut self, refusal: LoginRefusal, input: &Input) -> Next {
        self.phase = Phase::LoggingIn { refused: true };
        match refusal {
            LoginRefusal::InvalidCredentials if self.password.is_none() => {
                input.want(Want::Password);
                Next::GoOn
            }
            LoginRefusal::Busy { .. } => Next::End(Exit::Unreachable),
            _ => Next::End(Exit::Refused),
        }
    }

    fn line(&mut self, line: &str, screen: &mut Screen, input: &Input) -> Next {
        let line = parse(line, wall::parse);
        if self.phase != Phase::Active {
            return Next::GoOn;
        }
        if self.pipeline.is_none() {
            let next = self.carry_out(line, screen);
            if self.phase == Phase::Active {
                input.want(Want::Command);
            }
            return next;
        }
        self.pace.add(line);
        self.read_ahead(input);
        self.carry_out_lines(screen, input)
    }

    /// While the server is gone no answer asks for the next line of a script.
    fn read_ahead(&self, input: &Input) {
        if self.away && self.pipeline.is_some() && self.pace.len() < READ_AHEAD {
            input.want(Want::Command);
        }
    }

    /// Carries out the lines whose turn has come; after the last one, logs out. Without a server the client must know
    /// that somebody wants to leave, though answers are missing: it keeps the order itself, and does not wait forever.
    fn carry_out_lines(&mut self, screen: &mut Screen, input: &Input) -> Next {
        let all = self.away && (self.ended || self.pace.has_logout());
        while self.phase == Phase::Active
            && let Some(line) = if all { self.pace.next_of_all() } else { self.pace.next() }
        {
            let answered = !matches!(line, Ok(Parsed::Command(_)));
            if let next @ (Next::End(_) | Next::GiveUp(_)) = self.carry_out(line, screen) {
                return next;
            }
            if answered && self.phase == Phase::Active {
                input.want(Want::Command);
            }
        }
        match self.phase == Phase::Active && self.ended && (all || self.pace.is_done()) {
            true => self.leave(Command::Finish, Exit::Done, None),
            false => Next::GoOn,
        }
    }

    fn carry_out(&mut self, line: Line, screen: &mut Screen) -> Next {
        let shown = match line {
            Ok(Parsed::Command(Command::Logout)) => return self.leave(Command::Logout, Exit::Done, None),
            Ok(Parsed::Command(command)) => {
                self.client.command(command);
                Ok(())
            }
            Ok(Parsed::Help(topic)) => screen.help(topic),
            Ok(Parsed::Blank) => Ok(()),
            Err(error) => screen.parse_error(&error),
        };
        match shown {
            Ok(()) => Next::GoOn,
            Err(error) => self.cannot_show(&error),
        }
    }

    fn leave(&mut self, command: Command, exit: Exit, patience: Option<Duration>) -> Next {
        self.phase = Phase::Leaving { exit, until: patience.map(|patience| Instant::now() + patience) };
        self.client.command(command);
        Next::GoOn
    }

    /// Standard output takes no more: a quiet end if nobody reads it, as with `| head`, otherwise a failure.
    fn cannot_show(&mut self, error: &io::Error) -> Next {
        if let Phase::Leaving { until: Some(_), .. } = self.phase {
            return Next::GoOn;
        }
        let failure = output::failure(error);
        if let Some(failure) = &failure {
            output::note(&failure.message);
        }
        match (self.phase, failure) {
            (Phase::LoggingIn { .. }, failure) => Next::End(failure.map_or(Exit::Done, |failure| failure.exit)),
            (Phase::Leaving { exit, .. }, None) => self.leave(Command::Logout, exit, Some(GOODBYE)),
            (_, failure) => {
                let exit = failure.map_or(Exit::Done, |failure| failure.exit);
                self.leave(Command::Logout, exit, Some(GOODBYE))
            }
        }
    }

    fn exit_after(&self, last: &Event) -> Exit {
        match (last, self.phase) {
            (_, Phase::Leaving { exit: exit @ Exit::Interrupted, .. }) => exit,
            // A person has read it; a script looks at this.
            (Event::Bye { .. }, Phase::Leaving { exit: Exit::Done, .. }) if self.key_changed && self.is_script() => {
                Exit::KeyChanged
            }
            (Event::Bye { .. }, Phase::Leaving { exit, .. }) => exit,
            (Event::Bye { .. }, _) => Exit::Done,
            (Event::ConnectionLost { server_key_changed: true, .. }, _) => Exit::KeyChanged,
            _ => Exit::Unreachable,
        }
    }

    fn is_script(&self) -> bool {
        self.pipeline.is_some()
    }
}

/// Whether a file was refused because of somebody's key.
fn is_key_changed(event: &Event) -> bool {
    match event {
        Event::PeerKeyChanged { verified, .. } => *verified,
        Event::Error(failure) => matches!(failure, Failure::PeerKeyChanged { .. }),
        Event::Transfer(transfer) => transfer.state == TransferState::Failed(TransferFailure::KeyChanged),
        _ => false,
    }
}
