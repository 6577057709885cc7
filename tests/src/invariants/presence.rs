//! Who is active, and who is told of it.

use toom_core::id::ConnectionId;
use toom_core::name::UserName;
use toom_core::server::io::{CloseReason, Output};
use toom_core::wire::limits::MAX_LISTED_USERS;
use toom_core::wire::message::{ActiveUser, Event, Refusal, ReplyBody, RequestBody};

use super::conference::{Part, event, reply};
use super::model::{Change, Expected, Model, Outcome};
use super::{Broken, Observation, ensure};

/// The answer to `ATU`.
pub const LIST: &str = "presence: the active users are exactly those with a session, except oneself, as they logged in";
/// Comings and goings.
pub const TOLD: &str = "presence: all others are told once who comes and goes, unless more than a hundred are active";
/// A name is used once.
pub const ONE_SESSION: &str = "presence: one name has at most one session";
/// A session waits for its client.
pub const STAYS: &str = "presence: a session that can be resumed outlives its connection for the time of grace, unless \
                         its user logs in again on the same device";
/// A removed account.
pub const ACCOUNT: &str = "presence: who has no account any more has no session";
/// A login in time.
pub const LOGGED_IN_STAYS: &str = "presence: only who has not logged in is closed for it";
/// Who is not logged in is told nothing of others.
pub const ONLY_SESSIONS: &str = "presence: only who has a session is told what others do";
/// The end.
pub const NONE_LEFT: &str = "presence: once all have logged out, no session is left over";
/// People who are not there.
pub const OFFLINE: &str = "presence: who is said to be offline has an account and no session";

/// With more active users, comings and goings are not told.
const MAX_ANNOUNCED: usize = 100;

/// What must be said of who comes and goes.
#[derive(Debug, Default)]
pub(super) struct Presence {
    expected: Expected,
    /// Whose session ended before its time, for somebody who takes their place.
    early: Option<UserName>,
}

impl Part for Presence {
    fn end_turn(&mut self, model: &Model) -> Result<(), Broken> {
        if let Some(Outcome::Removed { .. }) = model.turn.applied.as_ref().map(|it| &it.outcome) {
            let left = model.sessions.all().map(|(user, _)| user).find(|user| !model.conference.has_account(user));
            ensure(left.is_none(), ACCOUNT, || format!("{left:?} has a session, and no account any more"))?;
        }
        let early = self.early.take().filter(|user| model.sessions.connection(user).is_none());
        ensure(early.is_none(), STAYS, || format!("the session of {early:?} ended, and nobody took its place"))?;
        let missed = self.expected.end();
        ensure(missed.is_none(), TOLD, || format!("connection and event that missed it: {missed:?}"))
    }

    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerEnds(_) => *self = Presence::default(),
            Observation::ServerSays(Output::Close { connection, reason }) => {
                let as_a_stranger = matches!(
                    reason,
                    CloseReason::LoginTimedOut
                        | CloseReason::TooManyStrangers
                        | CloseReason::TooManyStrangersFromAddress
                );
                let went = model.sessions.changes().first();
                ensure(went.is_none() || !as_a_stranger, LOGGED_IN_STAYS, || {
                    format!("connection {connection} is closed: {went:?}")
                })?;
            }
            _ => {}
        }
        self.changed(model)?;
        if let Some((to, event)) = event(what) {
            let is_there =
                |connection: &ConnectionId| model.user(*connection).is_some() || model.turn.gone == Some(*connection);
            let stranger = to.iter().find(|connection| !is_there(connection));
            ensure(stranger.is_none(), ONLY_SESSIONS, || format!("connection {stranger:?} is told {event:?}"))?;
            let to: Vec<_> = to.iter().copied().filter(|it| model.turn.gone != Some(*it)).collect();
            let coming_or_going = matches!(event, Event::Joined { .. } | Event::Left { .. });
            if coming_or_going && let Err(connection) = self.expected.take(&to, event) {
                return ensure(false, TOLD, || format!("connection {connection} is told {event:?}, which is not so"));
            }
        }
        match reply(what) {
            Some(([connection], reply)) => Self::replied(model, *connection, &reply.body),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, model: &Model) -> Result<(), Broken> {
        let left = model.sessions.all().next();
        ensure(left.is_none(), NONE_LEFT, || format!("{left:?} still has a session"))
    }
}

impl Presence {
    fn changed(&mut self, model: &Model) -> Result<(), Broken> {
        let sessions = &model.sessions;
        for change in sessions.changes() {
            match change {
                Change::Came(user, again) => {
                    let crowded = sessions.len() > MAX_ANNOUNCED;
                    ensure((!again || crowded) && model.conference.has_account(user), ONE_SESSION, || {
                        format!("{user} comes, and was active before: {again}")
                    })?;
                    if !crowded {
                        self.tell(model, Event::Joined { user: user.clone() }, user);
                    }
                }
                Change::Resumed(_) => {}
                Change::Went { user, early } => {
                    if sessions.len() < MAX_ANNOUNCED {
                        self.tell(model, Event::Left { user: user.clone() }, user);
                    }
                    self.early = early.then(|| user.clone());
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, model: &Model, event: Event, about: &UserName) {
        let others = model.sessions.all().filter(|(name, _)| *name != about).filter_map(|(_, it)| it.connection);
        self.expected.add(others, event);
    }

    fn replied(model: &Model, connection: ConnectionId, body: &ReplyBody) -> Result<(), Broken> {
        let asked = model.turn.answered.as_ref().map(|it| &it.body);
        match body {
            ReplyBody::Welcome { user, .. } => {
                let logs_in = matches!(asked, Some(RequestBody::Login { .. }));
                ensure(logs_in && model.sessions.connection(user) == Some(connection), ONE_SESSION, || {
                    format!("{user} is welcome on connection {connection} without a login")
                })
            }
            ReplyBody::ActiveUsers(users) => listed(model, connection, users),
            ReplyBody::Refused(Refusal::UserOffline(users)) => {
                // A file is offered to who is connected.
                let file = matches!(asked, Some(RequestBody::Offer { .. } | RequestBody::Devices { .. }));
                let is_there = |user: &UserName| match model.sessions.get(user) {
                    Some(session) => session.connection.is_some() || !file,
                    None => false,
                };
                let wrong = users.iter().find(|it| is_there(it) || !model.conference.has_account(it));
                ensure(wrong.is_none() && !users.is_empty(), OFFLINE, || format!("{wrong:?} of {users:?} is not"))
            }
            _ => Ok(()),
        }
    }
}

fn listed(model: &Model, connection: ConnectionId, users: &[ActiveUser]) -> Result<(), Broken> {
    let oneself = model.user(connection);
    let others = model.sessions.all().map(|(_, it)| &it.row).filter(|row| Some(&row.name) != oneself);
    let mut others: Vec<&ActiveUser> = others.collect();
    others.sort_by_key(|row| (row.since, &row.name));
    others.truncate(MAX_LISTED_USERS);
    ensure(users.iter().eq(others.iter().copied()), LIST, || {
        format!("{oneself:?} is told {users:?}, active are {others:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, name};
    use super::*;
    use toom_core::server::fact::Fact;
    use toom_core::wire::message::ServerMessage;

    fn stage() -> (Stage, [ConnectionId; 2]) {
        let mut stage = Stage::new(&["a", "b", "c"]);
        let all = stage.all(["a", "b"]);
        (stage, all)
    }

    #[test]
    fn what_the_server_says_is_right() {
        let (mut stage, [a, b]) = stage();
        stage.ask(a, RequestBody::ActiveUsers);
        stage.ask(a, RequestBody::BuildRoom { users: vec!["c".into()] });
        let third = stage.connect();
        stage.log_in(third, "a");
        stage.ask(a, RequestBody::Logout);
        stage.log_in(third, "a");
        stage.append(Fact::AccountRemoved { name: name("a") });
        stage.disconnect(b);
        assert_eq!((stage.broken(), stage.finish()), (None, None));
    }

    #[test]
    fn a_list_with_oneself_or_without_somebody_is_found() {
        let oneself = |users: &mut Vec<ActiveUser>| users.push(ActiveUser { name: name("a"), ..users[0].clone() });
        let port = |users: &mut Vec<ActiveUser>| users[0].udp_port += 1;
        let changes: [fn(&mut Vec<ActiveUser>); 3] = [oneself, port, |users| users.clear()];
        for change in changes {
            let (mut stage, [a, _]) = stage();
            stage.tamper_replies(move |body| {
                if let ReplyBody::ActiveUsers(users) = body {
                    change(users);
                }
            });
            stage.ask(a, RequestBody::ActiveUsers);
            assert_eq!(stage.broken(), Some(LIST));
        }
    }

    #[test]
    fn comings_and_goings_told_twice_or_not_at_all_are_found() {
        let changes: [fn(&mut Vec<ConnectionId>); 2] = [Vec::clear, |to| to.push(to[0])];
        for change in changes {
            let (mut stage, [_, b]) = stage();
            stage.tamper_events(move |to, _| change(to));
            stage.disconnect(b);
            assert_eq!(stage.broken(), Some(TOLD));
        }
    }

    #[test]
    fn a_second_session_of_one_name_is_found() {
        let (mut stage, _) = stage();
        stage.tamper_replies(|body| *body = ReplyBody::Welcome { user: name("a"), failed_logins: 0 });
        let again = stage.connect();
        stage.log_in(again, "a");
        assert_eq!(stage.broken(), Some(ONE_SESSION));
    }

    #[test]
    fn a_session_that_outlives_its_account_is_found() {
        let (mut stage, _) = stage();
        stage.tamper(|out| {
            let left =
                |it: &Output| matches!(it, Output::Send { message: ServerMessage::Event(Event::Left { .. }), .. });
            out.retain(|it| !matches!(it, Output::Close { .. }) && !left(it));
        });
        stage.append(Fact::AccountRemoved { name: name("a") });
        assert_eq!(stage.broken(), Some(ACCOUNT));
    }

    #[test]
    fn a_session_that_is_closed_as_if_nobody_had_logged_in_is_found() {
        let (mut stage, [a, _]) = stage();
        stage.tamper(|out| {
            for output in out {
                if let Output::Close { reason, .. } = output {
                    *reason = CloseReason::LoginTimedOut;
                }
            }
        });
        stage.ask(a, RequestBody::Logout);
        assert_eq!(stage.broken(), Some(LOGGED_IN_STAYS));
    }

    #[test]
    fn an_event_for_who_is_not_logged_in_is_found() {
        let (mut stage, [a, _]) = stage();
        let stranger = stage.connect();
        stage.tamper_events(move |to, _| to.push(stranger));
        stage.broadcast(a, "x");
        assert_eq!(stage.broken(), Some(ONLY_SESSIONS));
    }

    #[test]
    fn a_session_that_is_left_over_is_found() {
        let (mut stage, [a, _]) = stage();
        stage.ask(a, RequestBody::Logout);
        assert_eq!(stage.finish(), Some(NONE_LEFT));
    }

    #[test]
    fn who_is_said_to_be_offline_and_is_not_is_found() {
        let (mut stage, [a, b]) = stage();
        stage.tamper(move |out| {
            out.retain(|it| !matches!(it, Output::Propose { .. }));
            let body = ReplyBody::Refused(Refusal::UserOffline(vec![name("b")]));
            let id = toom_core::id::RequestId(3);
            let reply = toom_core::wire::message::Reply { id, body };
            out.push(Output::Send { to: vec![a], message: ServerMessage::Reply(reply) });
        });
        stage.ask(a, RequestBody::BuildRoom { users: vec!["b".into()] });
        assert_eq!(stage.broken(), Some(OFFLINE), "{b} is active");
    }
}
