//! Deadlines: what `core::machine` promises to whoever waits for one.

use core::fmt::Debug;
use std::collections::BTreeMap;

use toom_core::client::io::Input as ClientInput;
use toom_core::machine::Machine;
use toom_core::server::io::Input as ServerInput;
use toom_core::time::Instant;
use toom_core::transfer::io::Input as TransferInput;

use super::{Broken, Checker, Moment, Observation, Woken, ensure};
use crate::simulate::compact::compact;

/// After `handle(now, ..)`, `deadline()` is never before `now`.
pub const NEVER_PAST: &str = "deadlines: after a machine has handled something its deadline is not in the past";
/// A machine that is woken before its deadline has nothing to say.
pub const NOTHING_EARLY: &str = "deadlines: a machine that is woken before its deadline says nothing";
/// A machine that asks to be woken at once has something to say, or will soon ask no more.
pub const NO_BUSY_LOOP: &str = "deadlines: a machine does not ask to be woken at once for ever while it does nothing";

/// A machine may ask to be woken at once so often without saying anything.
const MAX_IDLE_WAKES: u32 = 1_000;

/// Watches the deadlines of all machines.
#[derive(Debug, Default)]
pub struct Deadlines {
    machines: BTreeMap<Woken, Turn>,
    /// What a machine says that is woken before its deadline at the moment.
    early: Option<Vec<String>>,
}

/// What a machine did with its latest input.
#[derive(Debug, Default)]
struct Turn {
    at: Instant,
    woke: bool,
    said: bool,
    /// When it then asked to be woken.
    deadline: Option<Instant>,
    /// How often it did so before, without saying anything.
    idle: u32,
}

impl Deadlines {
    fn hears(&mut self, at: Moment, who: Woken, woke: bool) -> Result<(), Broken> {
        let last = self.machines.entry(who).or_default();
        self.early = (woke && last.deadline.is_none_or(|deadline| deadline > at.now)).then(Vec::new);
        let in_vain = last.woke && last.deadline == Some(at.now) && !last.said && last.at == at.now;
        let idle = if in_vain && woke { last.idle + 1 } else { 0 };
        *last = Turn { at: at.now, woke, said: false, deadline: None, idle };
        ensure(idle < MAX_IDLE_WAKES, NO_BUSY_LOOP, || format!("{who} was woken {idle} times at {:?}", at.now))
    }

    fn handled(&mut self, at: Moment, who: Woken, deadline: Option<Instant>) -> Result<(), Broken> {
        if let Some(turn) = self.machines.get_mut(&who) {
            turn.deadline = deadline;
        }
        not_past(at, deadline, || who.to_string())
    }

    fn says(&mut self, who: Woken, what: &dyn Debug) {
        if let Some(early) = &mut self.early {
            early.push(compact(what));
        }
        if let Some(turn) = self.machines.get_mut(&who) {
            turn.said = true;
        }
    }
}

fn not_past(at: Moment, deadline: Option<Instant>, who: impl Fn() -> String) -> Result<(), Broken> {
    let past = deadline.is_some_and(|deadline| deadline < at.now);
    ensure(!past, NEVER_PAST, || format!("{} wants to be woken at {deadline:?}, and it is {:?}", who(), at.now))
}

impl Checker for Deadlines {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerStarts { .. } | Observation::ServerEnds(_) => {
                self.machines.remove(&Woken::Server);
            }
            Observation::ServerHears(input) => {
                return self.hears(at, Woken::Server, matches!(input, ServerInput::Woke { .. }));
            }
            Observation::ServerHandled(server) => return self.handled(at, Woken::Server, server.deadline()),
            Observation::ServerSays(said) => self.says(Woken::Server, said),
            Observation::ClientHears(client, input) => {
                return self.hears(at, Woken::Client(*client), matches!(input, ClientInput::Woke));
            }
            Observation::ClientHandled(client, it) => return self.handled(at, Woken::Client(*client), it.deadline()),
            Observation::ClientSays(client, said) => self.says(Woken::Client(*client), said),
            Observation::TransfersHear(client, input) => {
                return self.hears(at, Woken::Transfers(*client), matches!(input, TransferInput::Woke));
            }
            Observation::TransfersHandled(client, it) => {
                return self.handled(at, Woken::Transfers(*client), it.deadline());
            }
            Observation::TransfersSay(client, said) => self.says(Woken::Transfers(*client), said),
            Observation::ClientEnds(client) => {
                self.machines.retain(|who, _| *who != Woken::Client(*client) && *who != Woken::Transfers(*client));
            }
            Observation::Link { half, deadline } => return not_past(at, *deadline, || format!("{half:?}")),
            Observation::WokenEarly { machine, said } => {
                let words = self.early.take().unwrap_or_default().join("; ");
                return ensure(*said == 0, NOTHING_EARLY, || format!("{machine} said {said} things: {words}"));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::id::ConnectionId;
    use toom_core::link::Outbound;
    use toom_core::server::io::{CloseReason, Output};
    use toom_core::time::Timestamp;

    fn at(nanos: u64) -> Moment {
        Moment { now: Instant::from_nanos(nanos), wall: Timestamp::default() }
    }

    fn invariant(result: Result<(), Broken>) -> Option<&'static str> {
        result.err().map(|broken| broken.invariant)
    }

    #[test]
    fn a_deadline_in_the_past_is_found_and_one_that_is_now_is_none() {
        let mut checker = Deadlines::default();
        let half = Outbound::new();
        let mut link = |deadline| invariant(checker.observe(at(5), &Observation::Link { half: &half, deadline }));
        assert_eq!([None, Some(5), Some(6)].map(|nanos| link(nanos.map(Instant::from_nanos))), [None; 3]);
        assert_eq!(link(Some(Instant::from_nanos(4))), Some(NEVER_PAST));
        assert_eq!(invariant(checker.handled(at(5), Woken::Server, Some(Instant::ZERO))), Some(NEVER_PAST));
    }

    #[test]
    fn a_machine_that_speaks_before_its_deadline_is_found() {
        let early = |said| {
            let what = Observation::WokenEarly { machine: Woken::Server, said };
            invariant(Deadlines::default().observe(at(5), &what))
        };
        assert_eq!([early(0), early(1)], [None, Some(NOTHING_EARLY)]);
    }

    #[test]
    fn what_it_said_then_is_told_with_its_name_and_nothing_else_is() {
        let (mut checker, now) = (Deadlines::default(), at(5));
        let says = |checker: &mut Deadlines, connection| {
            let said = Output::Close { connection: ConnectionId(connection), reason: CloseReason::LoginTimedOut };
            checker.observe(now, &Observation::ServerSays(&said)).expect("it may speak");
        };
        for (deadline, connection) in [(5, 1), (6, 2)] {
            let woke = ServerInput::Woke { wall: now.wall };
            checker.observe(now, &Observation::ServerHears(&woke)).expect("nothing wrong");
            checker.handled(now, Woken::Server, Some(Instant::from_nanos(deadline))).expect("not in the past");
            says(&mut checker, connection);
        }
        let woke = ServerInput::Woke { wall: now.wall };
        checker.observe(now, &Observation::ServerHears(&woke)).expect("nothing wrong");
        says(&mut checker, 3);
        let broken = checker.observe(now, &Observation::WokenEarly { machine: Woken::Server, said: 1 });
        let what = broken.expect_err("it spoke early").what;
        assert_eq!(what, "the server said 1 things: Close { connection: ConnectionId(3), reason: LoginTimedOut }");
    }

    /// The server is woken so often: each time `step` nanoseconds later, and says something or not.
    fn wakes(times: u32, step: u64, speaks: bool) -> Option<&'static str> {
        let mut checker = Deadlines::default();
        for turn in 0..u64::from(times) {
            let now = at(turn * step);
            let woke = ServerInput::Woke { wall: now.wall };
            let heard = checker.observe(now, &Observation::ServerHears(&woke));
            if heard.is_err() {
                return invariant(heard);
            }
            checker.handled(now, Woken::Server, Some(now.now)).expect("not in the past");
            let said = Output::Close { connection: ConnectionId(1), reason: CloseReason::LoginTimedOut };
            if speaks {
                checker.observe(now, &Observation::ServerSays(&said)).expect("it may speak");
            }
        }
        None
    }

    #[test]
    fn a_machine_that_is_woken_again_and_again_for_nothing_is_found() {
        assert_eq!(wakes(MAX_IDLE_WAKES, 0, false), None);
        assert_eq!(wakes(MAX_IDLE_WAKES + 1, 0, false), Some(NO_BUSY_LOOP));
        assert_eq!(wakes(2 * MAX_IDLE_WAKES, 0, true), None, "it works");
        assert_eq!(wakes(2 * MAX_IDLE_WAKES, 1, false), None, "the clock moves");
    }
}
