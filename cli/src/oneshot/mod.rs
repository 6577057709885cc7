//! `toom send` and `toom recv`: one task in one session, and then out.
//!
//! A [`Task`] decides what is to be done once somebody is logged in, and how it ends; [`session`] does for both what a
//! session needs: the login, the logout, Ctrl-C, a connection that is lost. As in `client`, everything that happens
//! comes to one queue and is handled by one thread.
//!
//! | file | what it decides |
//! |---|---|
//! | `args` | the options |
//! | `send`, `recv` | what to do about each event |
//! | `session` | the login and the end |
//! | `verdict` | the exit code of what failed |
//! | `screen` | what is said, and where |

mod args;
mod recv;
mod screen;
mod send;
mod session;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};

use toom_core::client::event::Event;
use toom_core::client::io::{AcceptPolicy, Destination};
use toom_core::config::TransferConfig;

pub(crate) use args::{RecvArgs, SendArgs};

use crate::args::{Global, PasswordArgs};
use crate::client::editor::Terminal;
use crate::client::input::{Input, Typed};
use crate::connect::Plan;
use crate::exit::{Exit, Failure, Outcome};
use crate::trust::Trust;
use crate::{password, signals};
use args::ConnectionArgs;
use recv::Recv;
use screen::Screen;
use send::{Send, What};
use session::{Next, Session, Task};

/// How much may wait to be handled; then the driver waits too.
const QUEUE: usize = 1024;

/// What comes to the one queue.
enum Happening {
    /// The driver says something.
    Event(Event),
    /// The answer to what was asked for the login.
    Typed(Typed),
    /// Ctrl-C, or asked to terminate.
    Signal,
}

/// Sends files to everybody they are for, until the last one has verified them or failed.
pub(crate) fn send(args: &SendArgs, global: &Global) -> Outcome {
    let task = Send::new(args.to.clone(), what(args)?);
    let place = Place {
        connection: &args.connection,
        accept: AcceptPolicy::None,
        downloads: PathBuf::from("."),
        transfers: TransferConfig { limit: args.limit.map(|bits| bits / 8), ..TransferConfig::default() },
    };
    run(task, place, Screen::new(global, &args.connection.server, false), global)
}

/// The files, or standard input, which cannot be read for anything else then.
fn what(args: &SendArgs) -> Result<What, Failure> {
    let ConnectionArgs { login, .. } = &args.connection;
    if !args.paths.iter().any(|path| is_standard(path)) {
        return match args.name {
            None => Ok(What::Files(args.paths.clone())),
            Some(_) => Err(Failure::usage("--name is for standard input (-); files have their names.")),
        };
    }
    if args.paths.len() > 1 {
        return Err(Failure::usage("Standard input (-) is sent alone, since it may never end."));
    }
    let PasswordArgs { password_file, password_fd } = &login.password;
    let is_given = password_file.is_some() || password_fd.is_some_and(|fd| fd != 0);
    if login.user.is_none() || !is_given || login.trust == Some(Trust::Ask) {
        return Err(Failure::usage(
            "With -, nothing else can be read from standard input: give --user and --password-file, and no --trust ask.",
        ));
    }
    if args.to.len() > 1 {
        return Err(Failure::usage("Standard input (-) can go to one person only, since it can be read only once."));
    }
    Ok(What::Stream(args.name.clone().unwrap_or_else(|| "stdin".into())))
}

/// Whether a path stands for a standard stream.
fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Waits for one file, and saves it.
pub(crate) fn recv(args: &RecvArgs, global: &Global) -> Outcome {
    let (into, directory) = match &args.output {
        Some(path) if is_standard(path) => (Destination::Stream, None),
        path => (Destination::File, path.clone()),
    };
    let place = Place {
        connection: &args.connection,
        accept: AcceptPolicy::Ask,
        downloads: directory.unwrap_or_else(|| PathBuf::from(".")),
        transfers: TransferConfig::default(),
    };
    let screen = Screen::new(global, &args.connection.server, into == Destination::Stream);
    run(Recv::new(args.from.clone(), into), place, screen, global)
}

/// Where a task is done, and how.
struct Place<'a> {
    connection: &'a ConnectionArgs,
    accept: AcceptPolicy,
    downloads: PathBuf,
    transfers: TransferConfig,
}

fn run(task: impl Task, place: Place<'_>, screen: Screen, global: &Global) -> Outcome {
    let Place { connection: ConnectionArgs { server, login }, accept, downloads, transfers } = place;
    let password = password::given(&login.password)?;
    let plan = Plan::new(server, login, downloads, accept, transfers, global)?;
    let (happened, happenings) = mpsc::sync_channel(QUEUE);
    let signal = happened.clone();
    signals::watch(move || tell(&signal, Happening::Signal))?;
    let events = || {
        let event = happened.clone();
        move |said| tell(&event, Happening::Event(said))
    };
    let client = plan.connect(global, events)?;
    let terminal = Terminal::remember();
    let input = Input::of_logins(move |typed| tell(&happened, Happening::Typed(typed)));

    let mut session = Session::new(client, task, screen, login.user.clone(), password);
    session.begin(&input);
    let end = loop {
        let next = match happenings.recv_timeout(session.patience()) {
            Ok(Happening::Event(event)) => session.event(&event, &input),
            Ok(Happening::Typed(typed)) => session.typed(typed, &input),
            Ok(Happening::Signal) => session.interrupted(),
            Err(RecvTimeoutError::Timeout) => session.timed_out(),
            Err(RecvTimeoutError::Disconnected) => Next::End(Exit::Failed),
        };
        if next != Next::GoOn {
            break next;
        }
    };
    terminal.restore();
    match end {
        // What is still open is not worth waiting for; the system closes it.
        Next::GiveUp(exit) => std::process::exit(exit as i32),
        Next::End(exit) => {
            // Whatever the driver still says must not wait for this thread.
            drop(happenings);
            drop(session);
            Ok(exit)
        }
        Next::GoOn => Ok(Exit::Done),
    }
}

/// Once nobody handles the queue any more, nothing that happens matters.
fn tell(queue: &SyncSender<Happening>, happening: Happening) {
    let _ = queue.send(happening);
}
