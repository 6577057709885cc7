//! What everyone does once all is healed.

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Waits until all that they asked before is answered.
    Settle,
    /// Broadcasts a last word.
    LastWord,
    /// Accepts what is offered, and waits for the end of all transfers.
    Transfers,
    /// Reads all broadcasts.
    Broadcasts,
    /// Reads all messages of their rooms.
    Rooms,
    /// Leaves.
    Leave,
}

impl Task {
    /// All, in their order; everyone has finished one before anyone begins the next one.
    pub const BEFORE_LEAVING: [Task; 5] =
        [Task::Settle, Task::LastWord, Task::Transfers, Task::Broadcasts, Task::Rooms];

    /// The invariant that is broken if somebody's task does not end in time.
    pub fn invariant(self) -> &'static str {
        match self {
            Task::Settle => SETTLED,
            Task::LastWord => CONFIRMED,
            Task::Transfers => TRANSFERS_END,
            Task::Broadcasts | Task::Rooms => READABLE,
            Task::Leave => LEFT,
        }
    }
}

/// Once all is healed, everyone who has an account is logged in, and everything that they asked before is answered.
pub const SETTLED: &str = "liveness: everyone with an account comes back, and every command is answered";
/// Once all is healed, a message is stored.
pub const CONFIRMED: &str = "liveness: everyone's last word is confirmed";
/// Once all is healed, transfers come to their end.
pub const TRANSFERS_END: &str = "liveness: every transfer ends";
/// Once all is healed, messages can be read.
pub const READABLE: &str = "liveness: everyone reads their history";
/// Once all is healed, people can leave.
pub const LEFT: &str = "liveness: everyone can log out";

/// How far somebody is with their task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// What there is to do; nothing if it is done.
    pub task: Option<Task>,
    /// Whether it was asked for and not answered.
    pub asked: bool,
    /// How often something was asked.
    pub count: u64,
}
