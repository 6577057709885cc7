//! The rules of one run: login, task, logout, and how it ends.

use std::io;
use std::time::{Duration, Instant};

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::secure::Password;
use toom_core::wire::message::LoginRefusal;

use super::screen::Screen;
use super::verdict;
use crate::client::input::{Input, Typed, Want};
use crate::exit::Exit;
use crate::output;
use crate::runtime::Client;

/// How long the server may take to say goodbye; what is at stake is done by then.
const GOODBYE: Duration = Duration::from_secs(2);
/// There is nothing to wait for in particular.
const FOREVER: Duration = Duration::from_secs(3600);

/// What is to be done in the session.
pub(super) trait Task {
    /// Somebody is logged in.
    fn begin(&mut self, screen: &Screen) -> Step;

    /// Something has happened since, which was shown already. An error means that nobody reads standard output.
    fn event(&mut self, event: &Event, screen: &Screen) -> io::Result<Step>;
}

/// What a task wants next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To wait for what happens.
    Wait,
    /// To give a command.
    Do(Command),
    /// To log out and exit like this.
    End(Exit),
}

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

/// One run of a task.
pub(super) struct Session<T> {
    client: Client,
    task: T,
    screen: Screen,
    name: Option<String>,
    /// From a file or descriptor: it is tried once.
    password: Option<Password>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    LoggingIn {
        /// Why the last try was refused.
        refused: Option<Exit>,
    },
    Active,
    /// The last command is given.
    Leaving {
        exit: Exit,
        /// When to stop waiting for `Bye`.
        until: Instant,
    },
}

impl<T: Task> Session<T> {
    /// A session of someone who has just connected.
    pub(super) fn new(
        client: Client,
        task: T,
        screen: Screen,
        name: Option<String>,
        password: Option<Password>,
    ) -> Session<T> {
        Session { client, task, screen, name, password, phase: Phase::LoggingIn { refused: None } }
    }

    /// Logs in, or asks for what is missing to do so.
    pub(super) fn begin(&self, input: &Input) {
        match (&self.name, &self.password) {
            (None, _) => {
                output::question("Username: ");
                input.want(Want::Name);
            }
            (Some(_), None) => input.want(Want::Password),
            (Some(_), Some(password)) => self.log_in(password.clone()),
        }
    }

    /// The driver says something.
    pub(super) fn event(&mut self, event: &Event, input: &Input) -> Next {
        if let Err(error) = self.screen.event(event) {
            return self.cannot_show(&error);
        }
        match (event, self.phase) {
            (Event::Bye { .. }, _) | (Event::ConnectionLost { .. }, _) => Next::End(self.exit_after(event)),
            (Event::LoginFailed(refusal), _) => self.refused(*refusal, input),
            (Event::Welcome { .. }, Phase::LoggingIn { .. }) => {
                self.phase = Phase::Active;
                let step = self.task.begin(&self.screen);
                self.carry_out(step)
            }
            (_, Phase::Active) => match self.task.event(event, &self.screen) {
                Ok(step) => self.carry_out(step),
                Err(error) => self.cannot_show(&error),
            },
            _ => Next::GoOn,
        }
    }

    /// The person says something.
    pub(super) fn typed(&mut self, typed: Typed, input: &Input) -> Next {
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
            // Nobody asks for one.
            Typed::Line(_) => Next::GoOn,
            Typed::Ended => match self.phase {
                Phase::LoggingIn { refused } => {
                    output::note("The input has ended before anybody was logged in.");
                    Next::End(refused.unwrap_or(Exit::Failed))
                }
                _ => Next::GoOn,
            },
            Typed::Interrupted => self.interrupted(),
            Typed::Failed(failure) => {
                output::note(&failure.message);
                Next::End(failure.exit)
            }
        }
    }

    /// Ctrl-C: log out first, so that the other end hears of it; whoever presses it again wants it at once.
    pub(super) fn interrupted(&mut self) -> Next {
        match self.phase {
            Phase::LoggingIn { .. } => Next::End(Exit::Interrupted),
            Phase::Leaving { exit: Exit::Interrupted, .. } => Next::GiveUp(Exit::Interrupted),
            Phase::Active | Phase::Leaving { .. } => self.leave(Exit::Interrupted),
        }
    }

    /// How long to wait for the next happening.
    pub(super) fn patience(&self) -> Duration {
        match self.phase {
            Phase::Leaving { until, .. } => until.saturating_duration_since(Instant::now()),
            _ => FOREVER,
        }
    }

    /// Nothing happened for that long.
    pub(super) fn timed_out(&self) -> Next {
        match self.phase {
            Phase::Leaving { exit, .. } => Next::End(exit),
            _ => Next::GoOn,
        }
    }

    fn log_in(&self, password: Password) {
        self.client.command(Command::Login { name: self.name.clone().unwrap_or_default(), password });
    }

    fn refused(&mut self, refusal: LoginRefusal, input: &Input) -> Next {
        let exit = verdict::of_login(refusal);
        self.phase = Phase::LoggingIn { refused: Some(exit) };
        match refusal {
            LoginRefusal::InvalidCredentials if self.password.is_none() => {
                input.want(Want::Password);
                Next::GoOn
            }
            _ => Next::End(exit),
        }
    }

    fn carry_out(&mut self, step: Step) -> Next {
        match step {
            Step::Wait => Next::GoOn,
            Step::Do(command) => {
                self.client.command(command);
                Next::GoOn
            }
            Step::End(exit) => self.leave(exit),
        }
    }

    fn leave(&mut self, exit: Exit) -> Next {
        self.phase = Phase::Leaving { exit, until: Instant::now() + GOODBYE };
        self.client.command(Command::Logout);
        Next::GoOn
    }

    /// Standard output takes no more: a quiet end if nobody reads it, otherwise a failure.
    fn cannot_show(&mut self, error: &io::Error) -> Next {
        let failure = output::failure(error);
        if let Some(failure) = &failure {
            output::note(&failure.message);
        }
        match self.phase {
            Phase::LoggingIn { .. } => Next::End(Exit::Failed),
            Phase::Active => self.leave(Exit::Failed),
            Phase::Leaving { .. } => Next::GoOn,
        }
    }

    fn exit_after(&self, last: &Event) -> Exit {
        match (last, self.phase) {
            (Event::ConnectionLost { server_key_changed: true, .. }, _) => Exit::KeyChanged,
            (_, Phase::Leaving { exit, .. }) => exit,
            _ => Exit::Unreachable,
        }
    }
}
