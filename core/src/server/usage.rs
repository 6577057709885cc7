//! How much of its limits the server uses.

use super::machine::Server;
use crate::machine::{Bounded, Usage};
use crate::wire::limits::{MAX_ACCOUNTS, MAX_CONNECTIONS, MAX_LOST_SESSIONS, MAX_REQUESTS_IN_FLIGHT};

impl Bounded for Server {
    fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("connections", self.connections.len(), MAX_CONNECTIONS));
        each(Usage::new("sessions", self.sessions.len(), MAX_CONNECTIONS + MAX_LOST_SESSIONS));
        self.lost.usage(each);
        each(Usage::new("sessions that are over before the log says so", self.over.len(), MAX_ACCOUNTS));
        self.fencing.usage(each);
        each(self.login_timeouts.usage("timeouts of logins", MAX_CONNECTIONS));
        self.strangers.usage(each);
        self.attempts.usage(each);
        self.blocks.usage(each);
        self.failing_networks.usage(each);
        self.failed_logins.usage(each);
        each(Usage::new("users whose requests are counted", self.budgets.len(), MAX_ACCOUNTS));
        self.offers.usage(each);
        self.pending.usage(each);
        self.conference.accounts.usage(each);
        self.conference.rooms.usage(each);
        self.conference.direct.usage(each);
    }

    fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        for connection in self.connections.values() {
            each(Usage::new("requests in flight", connection.in_flight, MAX_REQUESTS_IN_FLIGHT));
        }
        for session in self.sessions.values() {
            session.delivery.usage(each);
            each(session.missed.usage());
        }
        self.strangers.usage_of_each(each);
        self.failing_networks.usage_of_each(each);
        self.attempts.usage_of_each(each);
        self.offers.usage_of_each(each);
        self.conference.accounts.usage_of_each(each);
        self.conference.rooms.usage_of_each(each);
        self.conference.direct.usage_of_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::id::{PeerIndex, RoomId};
    use crate::machine::usage_told;
    use crate::secure::SealedOffer;
    use crate::wire::message::RequestBody;

    /// What grows, how much there was of it at most, and how much there may be. Whoever adds a table adds it here.
    #[test]
    fn everything_that_grows_is_told_with_its_limit() {
        let mut world = World::with_grace(&["a", "b"], core::time::Duration::from_secs(60));
        let [a, b] = world.login_all(["a", "b"]);
        world.ask(a, build(&["b"]));
        world.ask(a, RequestBody::Leave { room: RoomId(1) });
        world.ask(a, direct("b", "x"));
        let sealed = SealedOffer::new(vec![9; 300]).unwrap();
        world.ask(a, RequestBody::Offer { to: text("b"), device: device(b), index: PeerIndex(1), sealed });
        world.login_with("b", "wrong");
        world.login_with("nobody", "wrong");
        assert_eq!(
            usage_told(&world.server),
            [
                "accounts: 2 of 1000000",
                "answers to posts of one session: 1 of 256",
                "authors whose messages one user missed: 0 of 1000000",
                "connections: 4 of 10000",
                "connections of one network that have not sent a login: 2 of 512",
                "connections that have not sent a login: 2 of 1024",
                "conversations in one question: 0 of 256",
                "conversations that one of their two people was not shown: 1 of 2000000",
                "conversations that one session is behind in: 0 of 1025",
                "devices of one account: 1 of 32",
                "failed logins of names with an account: 1 of 1000000",
                "failed logins of names without an account: 1 of 16384",
                "intervals of one user in one room: 0 of 16",
                "logins that wait for another connection: 0 of 10000",
                "logins under way or waiting: 0 of 1024",
                "logins under way or waiting, counted: 0 of 1024",
                "members of one room: 1 of 256",
                "names that failed from one network: 2 of 101",
                "names with logins under way: 0 of 1024",
                "networks of such connections: 1 of 1024",
                "networks with failed logins: 1 of 1024",
                "networks with logins under way: 0 of 1024",
                "offers: 1 of 640000",
                "offers of one user: 1 of 64",
                "pages sent and not shown: 0 of 8",
                "pairs of people who write to each other: 1 of 1000000",
                "password checks under way: 0 of 1024",
                "proposals: 0 of 76560",
                "questions to the store: 0 of 16384",
                "requests in flight: 0 of 256",
                "requests to catch up: 0 of 256",
                "rooms: 1 of 1000000",
                "rooms of one user: 1 of 1024",
                "rooms that one user has left: 1 of 1024",
                "sessions: 2 of 20000",
                "sessions that are over before the log says so: 0 of 1000000",
                "sessions that wait to be resumed: 0 of 10000",
                "timeouts of fenced connections: 0 of 20032",
                "timeouts of logins: 2 of 20032",
                "timeouts of offers: 1 of 1280032",
                "timeouts of sessions that wait to be resumed: 0 of 20032",
                "users to be told of failed logins: 1 of 1000000",
                "users who are offered files: 1 of 10000",
                "users who are or were in rooms: 2 of 1000000",
                "users who offer files: 1 of 10000",
                "users whose requests are counted: 1 of 1000000",
                "users with messages that they were not shown: 1 of 1000000",
            ]
        );
    }
}
