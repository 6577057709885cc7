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
