//! After the faults: all is healed, and everything must converge in bounded time.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::peer::MAX_PAUSE;
use toom_core::server::fact::Committed;
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::limits::MAX_NAME_BYTES;
use toom_core::wire::message::HistoryKind;

use super::accounts::{Accounts, direct_messages};
use super::person::State;
use super::stage::{Phase, Stage};
use super::task::{Asking, Task};
use crate::invariants::resources::tables_fit;
use crate::invariants::{Broken, CONVERGENCE, ensure};

/// Once all is healed, what was written to somebody is shown to them.
pub const DELIVERED: &str =
    "liveness: every direct message in the log is shown, at the latest when its receiver comes back";
/// Direct messages that the store could not read for a while come with the next login, if not before. Who waits
/// for so long logs in again.
const COME_BACK_FOR_MESSAGES: Duration = Duration::from_secs(60);
/// Once all have left, there is nothing to do.
pub const QUIET: &str = "liveness: after everyone has left, nothing happens any more";
/// Once all have left, nothing of them is left.
pub const NOTHING_LEFT: &str = "liveness: after everyone has left, the server has no session and no connection";

impl Stage {
    /// All is healed, everyone comes back, and all converges; then all leave.
    pub fn converge(&mut self) -> Result<(), Broken> {
        self.phase = Phase::Liveness;
        self.end_raws();
        self.simulation.heal();
        self.listen();
        let mut until = self.simulation.now() + CONVERGENCE;
        for number in 0..self.people.len() {
            self.drop_disguise(number);
            self.people[number].returning = false;
            self.may_come_back(number, Duration::ZERO);
        }
        for task in Task::BEFORE_LEAVING {
            if task == Task::Transfers {
                // One end may have died while the server was down, so that nobody tells the other one.
                until = until + MAX_PAUSE;
            }
            self.everyone(task, until)?;
        }
        self.wait_for_direct_messages(until)?;
        self.agree()?;
        self.phase = Phase::Leaving;
        self.send_home();
        self.everyone(Task::Leave, until)?;
        self.become_quiet(until)
    }

    /// Everything durable, oldest first.
    pub(super) fn log(&self) -> Vec<Committed> {
        self.simulation.durable().replay()
    }

    /// The password that somebody has by the log, if they have an account.
    pub(super) fn password_in_the_log(&self, number: usize) -> Option<String> {
        let person = &self.people[number];
        person.password_of(Accounts::after(&self.log()).hash(person.name)?)
    }

    /// What somebody is answered for whom their client looks up this name: nobody has it, and nobody is asked.
    pub(super) fn marker(&self, number: usize) -> String {
        format!("{:x<1$}", self.people[number].asking.count, MAX_NAME_BYTES + 1)
    }

    /// Everyone who has an account does this, and finishes it.
    fn everyone(&mut self, task: Task, until: Instant) -> Result<(), Broken> {
        for person in &mut self.people {
            person.asking = Asking { task: Some(task), asked: false, count: person.asking.count };
        }
        let mut first = None;
        self.stirred = true;
        loop {
            if core::mem::take(&mut self.stirred) {
                first = self.first_who_waits(task);
            }
            let Some(waiting) = first else { return Ok(()) };
            let late = self.simulation.now() > until;
            if late || (!self.step()? && !self.stirred) {
                let person = &self.people[waiting];
                let why = if late { "it takes too long" } else { "nothing will happen any more" };
                let what = format!("{} is at {task:?} and {:?}; {why}", person.name, person.state);
                return Err(Broken { invariant: task.invariant(), what });
            }
        }
    }

    /// Everyone who can asks for what their task wants. The first one who has not finished.
    fn first_who_waits(&mut self, task: Task) -> Option<usize> {
        let mut first = None;
        for number in 0..self.people.len() {
            let person = &self.people[number];
            let Asking { task: Some(_), asked, .. } = person.asking else { continue };
            if person.state == State::LoggedIn && !asked {
                self.people[number].asking.asked = true;
                self.people[number].asking.count += 1;
                self.ask_for(number, task);
            }
            let person = &self.people[number];
            if person.state == State::LoggedIn || (person.expected && task != Task::Leave) {
                first = first.or(Some(number));
            }
        }
        first
    }

    fn ask_for(&mut self, number: usize, task: Task) {
        let ever = Timestamp::from_millis(0);
        let person = &mut self.people[number];
        let command = match task {
            Task::Settle => Command::DirectMessage { to: self.marker(number), text: "?".to_owned() },
            Task::LastWord => Command::Broadcast { text: format!("{}'s last word", person.name) },
            Task::Transfers => {
                for offer in core::mem::take(&mut person.offers) {
                    self.ask(number, Command::Accept { offer });
                }
                Command::Transfers
            }
            Task::Broadcasts => Command::History { kind: HistoryKind::Broadcast, since: ever },
            Task::Rooms => Command::History { kind: HistoryKind::Rooms, since: ever },
            Task::Leave if number.is_multiple_of(2) => Command::Logout,
            Task::Leave => Command::Finish,
        };
        self.ask(number, command);
    }

    fn wait_for_direct_messages(&mut self, until: Instant) -> Result<(), Broken> {
        let log = self.log();
        let soon = self.simulation.now() + COME_BACK_FOR_MESSAGES;
        while self.first_unshown(&log).is_some() && self.simulation.now() < soon && self.step()? {}
        for number in 0..self.people.len() {
            if direct_messages(&log, self.people[number].name).iter().any(|text| !self.shown.contains(*text)) {
                self.hang_up(number);
            }
        }
        self.listen();
        while let Some((name, text)) = self.first_unshown(&log) {
            if self.simulation.now() > until || !self.step()? {
                let text: String = text.chars().take(20).collect();
                return Err(Broken { invariant: DELIVERED, what: format!("{name} was never shown {text:?}") });
            }
        }
        self.everyone(Task::Settle, until)
    }

    /// Somebody, and a direct message that they were not shown.
    fn first_unshown<'a>(&self, log: &'a [Committed]) -> Option<(&'static str, &'a str)> {
        self.people.iter().find_map(|person| {
            let mut texts = direct_messages(log, person.name).into_iter();
            Some((person.name, texts.find(|text| !self.shown.contains(*text))?))
        })
    }

    /// Once all is healed, nobody is logged in as somebody else.
    pub(super) fn drop_disguise(&mut self, number: usize) {
        if self.phase != Phase::Safety && self.people[number].state == State::Disguised {
            self.hang_up(number);
        }
    }

    /// Connections without a client end.
    fn end_raws(&mut self) {
        self.agenda.clear();
        for raw in 0..self.simulation.raws() {
            self.simulation.end_raw(raw);
        }
    }

    /// Clients on which nobody is logged in are closed.
    fn send_home(&mut self) {
        self.agenda.clear();
        for number in 0..self.people.len() {
            if self.people[number].state != State::LoggedIn {
                self.hang_up(number);
            }
        }
        self.listen();
    }

    /// A transfer that has ended may wait long for its other end, which may not know of it.
    fn become_quiet(&mut self, until: Instant) -> Result<(), Broken> {
        let until = until + MAX_PAUSE * 2;
        while self.step()? {
            let now = self.simulation.now();
            ensure(now <= until, QUIET, || "something still has a deadline".to_owned())?;
        }
        let (connections, sessions) = (self.simulation.server_connections(), self.simulation.active_sessions());
        ensure((connections, sessions) == (0, 0), NOTHING_LEFT, || {
            format!("it has {connections} connections and {sessions} sessions")
        })?;
        self.simulation.server().map_or(Ok(()), |server| tables_fit(server.machine(), true))
    }
}
