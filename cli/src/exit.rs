//! How a command ends: exit codes, and the sentence that goes with a failure.

use std::fmt::Display;
use std::process::ExitCode;

/// The exit codes that this version can give. Scripts depend on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed, for a reason of this computer or of the command.
    Failed = 1,
    /// The command line, or a file of the person's own, makes no sense.
    Usage = 2,
    /// The login was refused, or the user is blocked.
    Refused = 3,
    /// The server cannot be reached, is too busy, or was lost.
    Unreachable = 4,
    /// The other person refused, is not there, or it is not allowed.
    NotAllowed = 5,
    /// What arrived is not what was sent.
    Integrity = 6,
    /// A part has arrived; whoever sends the same again goes on there.
    Partial = 7,
    /// The server's or a peer's key is another one than before, or is not trusted.
    KeyChanged = 8,
    /// Ctrl-C, or asked to terminate.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A command that failed: what to tell the person, in one sentence, and how to exit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// One clear sentence.
    pub(crate) message: String,
}

/// What a command comes to.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure of this computer or of the command.
    pub(crate) fn failed(message: impl Display) -> Failure {
        Failure { exit: Exit::Failed, message: message.to_string() }
    }

    /// What was asked for makes no sense.
    pub(crate) fn usage(message: impl Display) -> Failure {
        Failure { exit: Exit::Usage, message: message.to_string() }
    }

    /// The server cannot be reached.
    pub(crate) fn unreachable(message: impl Display) -> Failure {
        Failure { exit: Exit::Unreachable, message: message.to_string() }
    }

    /// Ctrl-C where nothing has to be tidied up.
    pub(crate) fn interrupted() -> Failure {
        Failure { exit: Exit::Interrupted, message: "Interrupted.".into() }
    }
}
