//! Resources: whatever peers and people do, nothing outgrows its limit.

use toom_core::machine::{Bounded, Usage};

use super::{Broken, Checker, Moment, Observation, ensure};

/// Every queue, buffer and table stays within its named limit.
pub const WITHIN_LIMITS: &str = "resources: every queue, buffer and table is within its named limit";

/// Who has left leaves nothing behind but what outlives them.
pub const NOTHING_STAYS: &str =
    "resources: while nobody is connected, nothing is kept of anybody but what outlives a session";
/// Tables of the same things agree with each other.
pub const TABLES_AGREE: &str = "resources: no table has more entries than there are things that it is about";

/// Tables of the server in which people leave something.
const OUTLIVE_SESSIONS: &[&str] = &[
    "accounts",
    "rooms",
    "users who are or were in rooms",
    "pairs of people who write to each other",
    "users with messages that they were not shown",
    "users whose requests are counted",
    "users to be told of failed logins",
    "failed logins of names with an account",
    "failed logins of names without an account",
    "networks with failed logins",
    // Until the log says it, which it never does if the disk has failed.
    "sessions that are over before the log says so",
];

/// Tables of what the server has begun, which comes to its end though nobody waits for it any more.
const UNDER_WAY: &[&str] = &[
    "proposals",
    "questions to the store",
    "logins under way or waiting",
    "networks with logins under way",
    "names with logins under way",
    "password checks under way",
];

/// The first of two has no more entries than the second one.
const NO_MORE_THAN: &[(&str, &str)] = &[
    ("sessions that wait to be resumed", "sessions"),
    ("users who offer files", "offers"),
    ("users who are offered files", "offers"),
    ("networks of such connections", "connections that have not sent a login"),
    ("connections that have not sent a login", "connections"),
    ("networks with logins under way", "logins under way or waiting"),
    ("names with logins under way", "logins under way or waiting"),
    ("password checks under way", "logins under way or waiting"),
];

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

/// Whether all tables of a server fit each other, and nothing is left of those who have left; once it is `idle`, nothing
/// is under way either.
pub fn tables_fit(server: &dyn Bounded, idle: bool) -> Result<(), Broken> {
    let mut tables = Vec::new();
    server.usage(&mut |table| tables.push(table));
    let used = |what: &str| tables.iter().find(|table| table.what == what).map_or(0, |table| table.used);
    for (what, things) in NO_MORE_THAN {
        ensure(used(what) <= used(things), TABLES_AGREE, || {
            format!("the server has {} {what}, and {} {things}", used(what), used(things))
        })?;
    }
    if used("connections") + used("sessions") > 0 {
        return Ok(());
    }
    let may_stay = |what: &str| OUTLIVE_SESSIONS.contains(&what) || (!idle && UNDER_WAY.contains(&what));
    match tables.iter().find(|table| table.used > 0 && !may_stay(table.what)) {
        Some(left) => Err(Broken { invariant: NOTHING_STAYS, what: format!("it has {} {}", left.used, left.what) }),
        None => Ok(()),
    }
}

impl Checker for Resources {
    fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerHandled(server) => {
                self.look("the server", *server)?;
                if self.looks.is_multiple_of(LOOK_AT_EACH) { tables_fit(*server, false) } else { Ok(()) }
            }
            Observation::ServerEnds(server) => tables_fit(*server, false),
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

    /// A server with these tables.
    #[derive(Debug)]
    struct Tables(&'static [(&'static str, usize)]);

    impl Bounded for Tables {
        fn usage(&self, each: &mut dyn FnMut(Usage)) {
            self.0.iter().for_each(|(what, used)| each(Usage::new(what, *used, 100)));
        }
    }

    fn broken(tables: &'static [(&'static str, usize)], idle: bool) -> Option<&'static str> {
        tables_fit(&Tables(tables), idle).err().map(|broken| broken.invariant)
    }

    #[test]
    fn what_is_left_of_people_who_have_left_is_found() {
        assert_eq!(broken(&[("accounts", 3), ("rooms", 1), ("offers", 0)], true), None);
        assert_eq!(broken(&[("offers", 1), ("connections", 1)], false), None);
        assert_eq!(broken(&[("offers", 1), ("sessions", 0)], false), Some(NOTHING_STAYS));
        assert_eq!(broken(&[("a table that is new", 1)], false), Some(NOTHING_STAYS));
        assert_eq!(broken(&[("proposals", 1)], false), None);
        assert_eq!(broken(&[("proposals", 1)], true), Some(NOTHING_STAYS));
    }

    #[test]
    fn a_table_that_never_forgets_is_found_while_people_are_there() {
        let tables = &[("connections", 9), ("offers", 1), ("users who are offered files", 1)];
        assert_eq!(broken(tables, false), None);
        let tables = &[("connections", 9), ("offers", 0), ("users who are offered files", 1)];
        assert_eq!(broken(tables, false), Some(TABLES_AGREE));
    }
}
