//! The thread that reads what the session wants, and nothing else: a name, a password, a command.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use toom_core::secure::Password;

use super::editor::{Editor, Read};
use crate::exit::Failure;
use crate::line::help;
use crate::{output, password};

/// What the session wants to be told next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Who logs in.
    Name,
    /// With which password.
    Password,
    /// A command.
    Command,
}

/// What was typed.
pub(crate) enum Typed {
    /// The answer to [`Want::Name`].
    Name(String),
    /// The answer to [`Want::Password`].
    Password(Password),
    /// The answer to [`Want::Command`]: a line without its end.
    Line(String),
    /// The input has ended.
    Ended,
    /// The person wants to leave now.
    Interrupted,
    /// The input cannot be read.
    Failed(Failure),
}

/// The thread's other end.
pub(crate) struct Input {
    wants: Sender<Want>,
    /// Whether the line editor has the terminal.
    editing: Arc<AtomicBool>,
    /// Whether it is to give it back for good.
    end: Arc<AtomicBool>,
}

/// How often, and how many times, the editor is asked to give the terminal back.
const END_TRIES: (u32, Duration) = (25, Duration::from_millis(20));

impl Input {
    /// Starts the thread where only names and passwords are wanted, and standard output is for something else.
    pub(crate) fn of_logins(tell: impl Fn(Typed) + Send + 'static) -> Input {
        Input::start(None, true, tell)
    }

    /// Starts the thread. Without an `editor`, lines come from standard input as they are.
    pub(super) fn start(editor: Option<Editor>, silent: bool, tell: impl Fn(Typed) + Send + 'static) -> Input {
        let (wants, wanted) = mpsc::channel();
        let editing = Arc::new(AtomicBool::new(false));
        let end = Arc::new(AtomicBool::new(false));
        let reader = Reader { editor, silent, editing: editing.clone(), end: end.clone() };
        thread::spawn(move || reader.run(&wanted, tell));
        Input { wants, editing, end }
    }

    /// Asks for one thing more.
    pub(crate) fn want(&self, want: Want) {
        // The thread ends when the input does; then nothing more can come.
        let _ = self.wants.send(want);
    }

    /// Takes the terminal back from the editor. A signal is what makes it stop waiting for a key.
    pub(crate) fn end(&self) {
        let (tries, pause) = END_TRIES;
        self.end.store(true, Ordering::SeqCst);
        for _ in 0..tries {
            if !self.editing.load(Ordering::SeqCst) {
                return;
            }
            let _ = kill_process(getpid(), Signal::INT);
            thread::sleep(pause);
        }
    }
}

struct Reader {
    editor: Option<Editor>,
    /// No prompts: a script reads the output.
    silent: bool,
    editing: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
}

impl Reader {
    fn run(mut self, wanted: &Receiver<Want>, tell: impl Fn(Typed)) {
        for want in wanted {
            let typed = match want {
                Want::Name => match password::ask_line("Username: ", self.silent) {
                    Ok(Some(name)) => Typed::Name(name.to_string()),
                    Ok(None) => Typed::Ended,
                    Err(failure) => Typed::Failed(failure),
                },
                Want::Password => match password::ask("Password: ", self.silent) {
                    Ok(Some(password)) => Typed::Password(password),
                    Ok(None) => Typed::Ended,
                    Err(failure) if failure == Failure::interrupted() => Typed::Interrupted,
                    Err(failure) => Typed::Failed(failure),
                },
                Want::Command => self.command(),
            };
            let last = matches!(typed, Typed::Ended | Typed::Interrupted | Typed::Failed(_));
            tell(typed);
            if last {
                return;
            }
        }
    }

    fn command(&mut self) -> Typed {
        let Some(editor) = &mut self.editor else { return self.plain_line() };
        self.editing.store(true, Ordering::SeqCst);
        let read = match self.end.load(Ordering::SeqCst) {
            true => Read::Interrupted,
            false => editor.read(help::PROMPT, &self.end),
        };
        self.editing.store(false, Ordering::SeqCst);
        match read {
            Read::Line(line) => Typed::Line(line),
            Read::Ended => Typed::Ended,
            Read::Interrupted => Typed::Interrupted,
            Read::Failed(why) => Typed::Failed(Failure::failed(format!("The terminal cannot be read: {why}."))),
        }
    }

    fn plain_line(&self) -> Typed {
        if !self.silent {
            let _ = output::line(help::PROMPT.trim_end());
        }
        let mut line = Vec::new();
        match io::stdin().lock().read_until(b'\n', &mut line) {
            Ok(0) => Typed::Ended,
            Ok(_) => {
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                Typed::Line(String::from_utf8_lossy(line).into_owned())
            }
            Err(error) => Typed::Failed(Failure::failed(format!("Standard input cannot be read: {error}."))),
        }
    }
}
