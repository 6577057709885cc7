//! Resources: whatever peers and people do, nothing outgrows its limit.

use toom_core::machine::{Bounded, Usage};

use super::{Broken, Checker, Moment, Observation, ensure};

/// Every queue, buffer and table stays within its named limit.
pub const WITHIN_LIMITS: &str = "resources: every queue, buffer and table is within its named limit";

/// What there is one of for each user is looked at every so many times, since it is walked through.
const LOOK_AT_EACH: u64 = 64;

/// Asks every machine how much of its limits it uses.
#[derive(Debug, Default)]
pub struct Resources {
    looks: u64,
}

impl Resources {
    fn look(&mut self, whose: &str, at: &dyn Bounded) -> Result<(), Broken> {
        self.looks += 1;
        let mut over: Option<Usage> = None;
        let mut each = |usage: Usage| {
            if usage.used > usage.limit {
                over.get_or_insert(usage);
            }
        };
        at.usage(&mut each);
        if self.looks.is_multiple_of(LOOK_AT_EACH) {
            at.usage_of_each(&mut each);
        }
        let words = |it: Usage| format!("{whose}: {} {}, of at most {}", it.used, it.what, it.limit);
        ensure(over.is_none(), WITHIN_LIMITS, || over.map(words).unwrap_or_default())
    }
}

impl Checker for Resources {
    fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerHandled(server) => self.look("the server", *server),
            Observation::ClientHandled(client, machine) => self.look(&format!("client {client}"), *machine),
            Observation::TransfersHandled(client, machine) => {
                self.look(&format!("the transfers of client {client}"), *machine)
            }
            Observation::Link { half, .. } => self.look("a TCP connection", *half),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::time::{Instant, Timestamp};

    /// So much of ten at the first look, and of what there is one of for each.
    #[derive(Debug)]
    struct Table(usize, usize);

    impl Bounded for Table {
        fn usage(&self, each: &mut dyn FnMut(Usage)) {
            each(Usage::new("things", self.0, 10));
        }

        fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
            each(Usage::new("things of one user", self.1, 10));
        }
    }

    fn look(times: u64, table: Table) -> Result<(), Broken> {
        let mut checker = Resources::default();
        let at = Moment { now: Instant::ZERO, wall: Timestamp::default() };
        (0..times).try_for_each(|_| checker.observe(at, &Observation::Link { half: &table, deadline: None }))
    }

    #[test]
    fn what_is_full_is_within_its_limit_and_one_more_is_not() {
        assert_eq!(look(1_000, Table(10, 10)), Ok(()));
        let what = "a TCP connection: 11 things, of at most 10".to_owned();
        assert_eq!(look(1, Table(11, 0)), Err(Broken { invariant: WITHIN_LIMITS, what }));
    }

    #[test]
    fn what_each_user_has_is_looked_at_now_and_then() {
        assert_eq!(look(LOOK_AT_EACH - 1, Table(0, 11)), Ok(()));
        assert!(look(LOOK_AT_EACH, Table(0, 11)).is_err_and(|broken| broken.what.contains("11 things of one user")));
    }
}
