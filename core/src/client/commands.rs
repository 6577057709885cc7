//! A command starts: what can be refused here is refused, all else is asked from the server.

use std::collections::BTreeSet;

use super::command::Command;
use super::event::{Event, Failure, PostKind};
use super::find;
use super::history::Gathering;
use super::io::{Destination, Output};
use super::requests::{Asked, Change};
use super::session::Client;
use crate::secure::Password;
use crate::time::Instant;
use crate::wire::limits::{MAX_NAME_BYTES, MAX_PASSWORD_BYTES, MAX_ROOM_MEMBERS, MAX_TEXT_BYTES};
use crate::wire::message::{LoginRefusal, RequestBody};

impl Client {
    /// Starts a command whose turn it is. `Logout` of somebody who is logged in is not for here.
    pub(super) fn start(&mut self, now: Instant, command: Command, out: &mut Vec<Output>) {
        if self.user.is_none() && !matches!(command, Command::Login { .. }) {
            return fail(Failure::NotLoggedIn, out);
        }
        match command {
            Command::Login { name, password } => self.log_in(name, password, out),
            Command::Broadcast { text } => {
                let failure = check_text(&text);
                self.change(Change::Post(PostKind::Broadcast), failure, RequestBody::Broadcast { text }, out);
            }
            Command::RoomMessage { room, text } => {
                let failure = check_text(&text);
                let body = RequestBody::RoomMessage { room, text };
                self.change(Change::Post(PostKind::Room(room)), failure, body, out);
            }
            Command::DirectMessage { to, text } => {
                let failure = check_users(core::slice::from_ref(&to)).or(check_text(&text));
                let kind = PostKind::Direct(to.clone());
                self.change(Change::Post(kind), failure, RequestBody::DirectMessage { to, text }, out);
            }
            Command::BuildRoom { users } => {
                let users = without_repetitions(users);
                let failure = check_count(&users).or_else(|| check_users(&users));
                self.change(Change::BuildRoom, failure, RequestBody::BuildRoom { users }, out);
            }
            Command::Invite { room, user } => {
                let failure = check_users(core::slice::from_ref(&user));
                self.change(Change::Invite(room), failure, RequestBody::Invite { room, user }, out);
            }
            Command::Leave { room } => self.change(Change::Leave(room), None, RequestBody::Leave { room }, out),
            Command::ActiveUsers => self.requests.ask(RequestBody::ActiveUsers, Asked::ActiveUsers, out),
            Command::Rooms => self.requests.ask(RequestBody::Rooms, Asked::Rooms, out),
            Command::History { kind, since } => {
                let gathering = self.history.insert(Gathering::new(kind, since));
                self.requests.ask(gathering.request(), Asked::History(kind), out);
            }
            Command::Latest { room, count } => {
                self.requests.ask(RequestBody::Latest { room, count, before: None }, Asked::Latest(room), out);
            }
            Command::Find { text } => match find::request(text) {
                Ok(body) => self.requests.ask(body, Asked::Find, out),
                Err(failure) => fail(failure, out),
            },
            Command::SendFiles { to, paths } => self.send_files(&to, paths, out),
            Command::SendStream { to, name } => self.send_stream(&to, &name, out),
            Command::Accept { offer } => self.accept_offer(offer, Destination::File, out),
            Command::AcceptStream { offer } => self.accept_offer(offer, Destination::Stream, out),
            Command::Reject { offer } => self.reject_offer(offer, out),
            Command::Transfers => out.push(Output::Event(Event::Transfers(self.transfers.shown(now)))),
            Command::Cancel { transfer } => self.cancel(transfer, out),
            Command::Verify { user, confirm } => self.start_verifying(&user, confirm, out),
            Command::Logout | Command::Finish => {}
        }
    }

    fn log_in(&mut self, name: String, password: Password, out: &mut Vec<Output>) {
        if self.user.is_some() {
            return out.push(Output::Event(Event::LoginFailed(LoginRefusal::AlreadyActive)));
        }
        // Nobody has such a name or password, and the server would take the request for an attack.
        if name.len() > MAX_NAME_BYTES || password.0.len() > MAX_PASSWORD_BYTES {
            return out.push(Output::Event(Event::LoginFailed(LoginRefusal::InvalidCredentials)));
        }
        self.logging_in = true;
        self.requests.ask(RequestBody::Login { name, password, udp_port: self.udp_port }, Asked::Login, out);
    }

    /// Asks for a change, unless it fails already; either way its answer has its place.
    fn change(&mut self, change: Change, failure: Option<Failure>, body: RequestBody, out: &mut Vec<Output>) {
        let place = self.answers.reserve();
        match failure {
            Some(failure) => self.answers.fill(place, Event::Error(failure), out),
            None => self.requests.ask(body, Asked::Change(place, change), out),
        }
    }
}

/// Answers a command with a failure.
pub(super) fn fail(failure: Failure, out: &mut Vec<Output>) {
    out.push(Output::Event(Event::Error(failure)));
}

fn check_text(text: &str) -> Option<Failure> {
    (text.is_empty() || text.len() > MAX_TEXT_BYTES).then_some(Failure::BadText)
}

fn check_count(users: &[String]) -> Option<Failure> {
    let limit = || Failure::LimitReached(format!("a separate room can have at most {MAX_ROOM_MEMBERS} members"));
    (users.len() > MAX_ROOM_MEMBERS).then(limit)
}

/// In the order in which they were typed first.
fn without_repetitions(mut users: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    users.retain(|user| seen.insert(user.clone()));
    users
}

/// Nobody has a name beyond the limit.
fn check_users(users: &[String]) -> Option<Failure> {
    let strangers: Vec<String> = users.iter().filter(|user| user.len() > MAX_NAME_BYTES).cloned().collect();
    (!strangers.is_empty()).then_some(Failure::NoSuchUser(strangers))
}
