//! How much of its limits a client uses.

use super::session::{Client, MAX_WAITING_COMMANDS};
use crate::machine::{Bounded, Usage};

impl Bounded for Client {
    fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("commands that wait", self.waiting.len(), MAX_WAITING_COMMANDS));
        self.requests.usage(each);
        each(self.answers.usage());
        if let Some(history) = &self.history {
            history.usage(each);
        }
        self.transfers.usage(each);
        each(self.receipts.usage());
        self.people.usage(each);
        self.positions.usage(each);
    }

    fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        self.transfers.usage_of_each(each);
        self.people.usage_of_each(each);
    }
}
