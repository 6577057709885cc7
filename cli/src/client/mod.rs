//! `toom client`: one person, or one script, in one session.
//!
//! Everything that happens (an event of the driver, a typed line, a signal) comes to one queue and is handled
//! here, in order, by one thread, which alone gives commands and writes to the screen. The [`input`] thread
//! reads only what it is told to want, so that a script cannot run ahead of the answers and a person is asked
//! for one thing at a time.

mod above;
pub(crate) mod editor;
pub(crate) mod input;
mod pace;
pub(crate) mod progress;
mod screen;
mod session;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};

use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::config::TransferConfig;

use crate::args::{ClientArgs, Global};
use crate::connect::Plan;
use crate::exit::{Exit, Outcome};
use crate::{password, signals};
use input::{Input, Typed};
use screen::Screen;
use session::{Next, Session};

/// How much may wait for the screen; then the driver waits too, so that a stopped terminal costs no memory.
const QUEUE: usize = 1024;

/// What comes to the one queue.
enum Happening {
    /// The driver says something.
    Event(Event),
    /// The person or script says something.
    Typed(Typed),
    /// Ctrl-C, or asked to terminate.
    Signal,
}

/// Runs a client until it is logged out, or cannot go on.
pub(crate) fn run(args: &ClientArgs, global: &Global) -> Outcome {
    let password = password::given(&args.login.password)?;
    let accept = args.accept.map_or_else(|| default_policy(global.json), AcceptPolicy::from);
    let downloads = args.downloads.clone().unwrap_or_else(|| PathBuf::from("."));
    let plan = Plan::new(&args.server, &args.login, downloads, accept, TransferConfig::default(), global)?;
    let (happened, happenings) = mpsc::sync_channel(QUEUE);
    let signal = happened.clone();
    signals::watch(move || send(&signal, Happening::Signal))?;
    let events = || {
        let event = happened.clone();
        move |said| send(&event, Happening::Event(said))
    };
    let client = plan.connect(global, events)?;
    let terminal = editor::Terminal::remember();
    let (mut screen, editor) = Screen::new(global, args.server.clone(), accept);
    let input = Input::start(editor, screen.is_json(), move |typed| send(&happened, Happening::Typed(typed)));

    let mut session = Session::new(client, args.login.user.clone(), password, screen.pipeline());
    session.begin(&input);
    let end = loop {
        let next = match happenings.recv_timeout(session.patience()) {
            Ok(Happening::Event(event)) => session.event(&event, &mut screen, &input),
            Ok(Happening::Typed(typed)) => session.typed(typed, &mut screen, &input),
            Ok(Happening::Signal) => session.interrupted(),
            Err(RecvTimeoutError::Timeout) => session.timed_out(),
            Err(RecvTimeoutError::Disconnected) => Next::GiveUp(Exit::Failed),
        };
        if let Next::End(_) | Next::GiveUp(_) = next {
            break next;
        }
    };
    input.end();
    screen.end();
    terminal.restore();
    session.show_last(&mut screen);
    match end {
        Next::GiveUp(exit) => {
            // What is still open is not worth waiting for; the system closes it.
            std::process::exit(exit as i32);
        }
        Next::End(exit) => {
            session.close();
            Ok(exit)
        }
        Next::GoOn => Ok(Exit::Done),
    }
}

/// Someone at a terminal can be asked about offers, a script cannot.
fn default_policy(json: bool) -> AcceptPolicy {
    match io::stdin().is_terminal() && !json {
        true => AcceptPolicy::Ask,
        false => AcceptPolicy::None,
    }
}

/// Once nobody handles the queue any more, nothing that happens matters.
fn send(queue: &SyncSender<Happening>, happening: Happening) {
    let _ = queue.send(happening);
}
