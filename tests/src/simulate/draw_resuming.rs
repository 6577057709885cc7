//! What sessions that outlive their connections need, drawn after all else, so that what was drawn before stays as it
//! was: for how long they do, whose clients come back by themselves, and who comes with a secret or beside a client.

use core::time::Duration;

use super::act::{Act, Claimed, Seen, Whom};
use super::draw::Draw;
use super::plan::{Choice, Plan, What};
use crate::sim::fault::Fault;

impl Draw {
    /// Adds all of it to a plan.
    pub fn resuming(&mut self, plan: &mut Plan) {
        if self.chance(0.2) {
            return;
        }
        plan.server.grace = self.time(1_000, 60_000);
        let share = self.pick(&[0.0, 0.8, 0.9, 1.0, 1.0]);
        for person in &mut plan.people {
            person.reconnect = self.chance(share);
        }
        if self.chance(0.3) {
            return;
        }
        let kinds = [self.chance(0.8), self.chance(0.5), self.chance(0.5)];
        for _ in 0..self.small_or_large(1..=60) {
            let what = match self.within(0..=5) {
                0..=3 if kinds[0] => What::Fault(Fault::Reset { client: self.someone() }),
                4 if kinds[1] => {
                    let act = Act::LogInBeside { lasting: self.time(1, 30_000) };
                    What::Act { person: self.someone(), act }
                }
                5 if kinds[2] => self.claim(),
                _ => continue,
            };
            let place = self.within(0..=plan.choices.len() as u64) as usize;
            let after = if self.chance(0.5) { Duration::ZERO } else { self.time(1, 5_000) };
            plan.choices.insert(place, Choice { after, what });
        }
    }

    fn claim(&mut self) -> What {
        let person = self.someone();
        let whose = if self.chance(0.7) { Whom::Person(person) } else { self.whom() };
        let secret = self.pick(&[Claimed::Newest, Claimed::Newest, Claimed::Earlier, Claimed::MadeUp]);
        let seen = self.pick(&[Seen::Nothing, Seen::Nothing, Seen::Everything]);
        What::Act { person, act: Act::Claim { whose, secret, seen, lasting: self.time(1, 30_000) } }
    }
}
