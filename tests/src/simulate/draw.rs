//! A plan from a seed.
//!
//! Swarm testing: each seed first draws which kinds of acts and faults there are at all and how often, how long
//! the pauses are, and what the world is like, so that different seeds explore different corners. A run in which
//! everything happens a little explores none.

use core::ops::RangeInclusive;
use core::time::Duration;

use super::act::{Act, Text, Typed, Whom};
use super::draw_acts::{ACTS, ActDrawer, build_room};
use super::draw_faults::{FAULTS, FaultDrawer};
use super::draw_options::draw_options;
use super::plan::{Accept, Choice, Habits, MAX_PEOPLE, PersonPlan, Plan, ServerPlan, What};
use crate::sim::dice::Dice;
use crate::sim::fault::Fault;

impl Plan {
    /// The plan of this seed.
    pub fn from_seed(seed: u64) -> Plan {
        Plan::drawn(seed, None)
    }

    /// One of so many people.
    pub fn of(seed: u64, people: usize) -> Plan {
        Plan::drawn(seed, Some(people.clamp(1, MAX_PEOPLE)))
    }

    fn drawn(seed: u64, people: Option<usize>) -> Plan {
        let mut draw = Draw::new(seed);
        draw.people = people.unwrap_or(draw.people);
        let options = draw_options(&mut draw, seed);
        let server = ServerPlan {
            attempts: draw.within(1..=5) as u32,
            block: if draw.chance(0.7) { Duration::from_secs(10) } else { draw.time(10, 120_000) },
            grace: Duration::ZERO,
        };
        let people: Vec<PersonPlan> = (0..draw.people).map(|_| draw.person()).collect();
        draw.takers = (0..draw.people).filter(|person| people[*person].accept == Accept::All).collect();
        let files = (0..draw.files).map(|_| draw.file_size()).collect();
        let habits = Habits { return_chance: draw.pick(&[0.0, 0.3, 0.8, 1.0]), return_within: draw.time(10, 60_000) };
        let choices = draw.choices();
        let mut plan = Plan { options, server, people, files, habits, choices };
        draw.resuming(&mut plan);
        plan
    }
}

/// Draws a plan.
#[derive(Debug)]
pub struct Draw {
    dice: Dice,
    people: usize,
    files: usize,
    /// Those who take every file that they are offered.
    takers: Vec<usize>,
    marks: u64,
    /// Whether people write much.
    long_texts: bool,
}

/// What is drawn for a seed before its choices are.
struct Mood {
    acts: Vec<(u64, ActDrawer)>,
    faults: Vec<(u64, FaultDrawer)>,
    /// The probability that a choice is a fault.
    fault_chance: f64,
    /// The probability that a choice follows the one before at once.
    burst_chance: f64,
    /// The mean pause, in microseconds.
    pause: u64,
}

impl Draw {
    fn new(seed: u64) -> Draw {
        let mut dice = Dice::new(seed, "plan");
        let (people, files) = (dice.within(1..=MAX_PEOPLE as u64) as usize, dice.within(0..=5) as usize);
        let long_texts = dice.chance(0.1);
        Draw { dice, people, files, takers: Vec::new(), marks: 0, long_texts }
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.dice.chance(probability)
    }

    /// A number of `range`.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.dice.within(range)
    }

    /// A number of `range`, small ones as often as large ones: each power of two is as likely as the next.
    pub fn small_or_large(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (least, most) = (*range.start(), *range.end());
        let span = most - least;
        let bits = u64::from(64 - span.leading_zeros());
        let bound = match self.within(0..=bits) {
            64 => u64::MAX,
            bits => (1 << bits) - 1,
        };
        least + self.within(0..=bound.min(span))
    }

    /// A time of so many milliseconds, short ones as often as long ones.
    pub fn time(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.small_or_large(least * 1_000..=most * 1_000))
    }

    /// One of `options`.
    pub fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.within(0..=options.len() as u64 - 1) as usize]
    }

    /// A person's number.
    pub fn someone(&mut self) -> usize {
        self.within(0..=self.people as u64 - 1) as usize
    }

    /// A user, as typed.
    pub fn whom(&mut self) -> Whom {
        match self.within(0..=19) {
            0 => Whom::Stranger,
            1 => Whom::Nonsense,
            _ => Whom::Person(self.someone()),
        }
    }

    /// A file, which may not exist.
    pub fn file(&mut self) -> usize {
        self.within(0..=self.files as u64) as usize
    }

    /// Somebody who will take a file, if there is anybody.
    pub fn taker(&mut self) -> usize {
        match self.takers.len() {
            0 => self.someone(),
            count => self.takers[self.dice.within(0..=count as u64 - 1) as usize],
        }
    }

    /// A file that exists, if there is any.
    pub fn real_file(&mut self) -> usize {
        self.within(0..=self.files.max(1) as u64 - 1) as usize
    }

    /// A password, mostly the right one.
    pub fn typed(&mut self) -> Typed {
        match self.within(0..=19) {
            0..=4 => Typed::Wrong,
            5 => Typed::Empty,
            6 => Typed::Endless,
            _ => Typed::Right,
        }
    }

    /// A text, mostly short.
    pub fn text(&mut self) -> Text {
        self.marks += 1;
        let bytes = match self.within(0..=99) {
            0 => 0,
            1 => self.within(16_000..=17_000),
            2..=50 if self.long_texts => self.within(4_000..=16_000),
            2..=9 => self.within(400..=4_000),
            10..=29 => self.within(40..=400),
            _ => self.within(1..=40),
        };
        Text { mark: self.marks, bytes: bytes as usize }
    }

    fn person(&mut self) -> PersonPlan {
        let accept = self.pick(&[Accept::Ask, Accept::Ask, Accept::All, Accept::All, Accept::All, Accept::None]);
        PersonPlan { accept, account: self.chance(0.95), reconnect: false }
    }

    fn file_size(&mut self) -> u64 {
        match self.within(0..=19) {
            0 => 0,
            1 => self.small_or_large(1_000_000..=4_000_000),
            2..=4 => self.within(1..=3_000),
            5..=11 => self.small_or_large(1..=300_000),
            _ => self.within(50_000..=600_000),
        }
    }

    fn mood(&mut self) -> Mood {
        let mut acts = self.swarm(ACTS, 0.6);
        // Who has left may always come back, or nothing would happen for long.
        let others: u64 = acts.iter().map(|(weight, _)| weight).sum();
        acts.push((1 + others / 12, |_| Act::ComeBack));
        let faults = self.swarm(FAULTS, 0.35);
        let fault_chance =
            if faults.is_empty() || self.chance(0.15) { 0.0 } else { self.small_or_large(5..=300) as f64 / 1_000.0 };
        let burst_chance = self.pick(&[0.0, 0.2, 0.5]);
        Mood { acts, faults, fault_chance, burst_chance, pause: self.small_or_large(200..=60_000_000) }
    }

    /// Some of `kinds`, some of them heavier than usual.
    fn swarm<T: Copy>(&mut self, kinds: &[(u64, T)], share: f64) -> Vec<(u64, T)> {
        let mut drawn = Vec::new();
        for (weight, kind) in kinds {
            let heavier = self.small_or_large(1..=16);
            if self.chance(share) {
                drawn.push((weight * heavier, *kind));
            }
        }
        drawn
    }

    fn weighted<T: Copy>(&mut self, kinds: &[(u64, T)]) -> Option<T> {
        let total: u64 = kinds.iter().map(|(weight, _)| weight).sum();
        let mut place = self.within(0..=total.max(1) - 1);
        for (weight, kind) in kinds {
            if place < *weight {
                return Some(*kind);
            }
            place -= weight;
        }
        None
    }

    fn choices(&mut self) -> Vec<Choice> {
        let mood = self.mood();
        let mut choices = Vec::new();
        for person in 0..self.people {
            if self.chance(0.9) {
                let act = Act::LogIn { name: Whom::Person(person), password: Typed::Right };
                choices.push(Choice { after: self.pause(&mood), what: What::Act { person, act } });
            }
        }
        // Rooms need people who are there already.
        for _ in 0..self.pick(&[0, 1, 3]) {
            let (after, person) = (self.time(1, 5_000), self.someone());
            choices.push(Choice { after, what: What::Act { person, act: build_room(self) } });
        }
        let mut wrong = false;
        for _ in 0..self.small_or_large(50..=2_500) {
            let what = if self.chance(mood.fault_chance) {
                self.weighted(&mood.faults).map(|draw_fault| What::Fault(draw_fault(self)))
            } else if wrong && self.chance(0.1) {
                Some(if self.chance(0.4) { What::Heal } else { What::Fault(Fault::StartServer) })
            } else {
                let person = self.someone();
                self.weighted(&mood.acts).map(|draw_act| What::Act { person, act: draw_act(self) })
            };
            let mut after = self.pause(&mood);
            match &what {
                Some(What::Fault(fault)) => {
                    wrong = true;
                    if let Some(wait) = self.victims(fault, after, &mut choices) {
                        after = wait;
                    }
                }
                Some(What::Heal) => wrong = false,
                _ => {}
            }
            choices.extend(what.map(|what| Choice { after, what }));
        }
        choices
    }

    fn pause(&mut self, mood: &Mood) -> Duration {
        if self.chance(mood.burst_chance) {
            return Duration::ZERO;
        }
        let rare = if self.chance(0.02) { 20 } else { 1 };
        Duration::from_micros(self.within(0..=2 * rare * mood.pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan_and_json_keeps_it() {
        for seed in 0..50 {
            let plan = Plan::from_seed(seed);
            assert_eq!(plan, Plan::from_seed(seed));
            assert_eq!(Plan::from_json(&plan.to_json()).as_ref(), Ok(&plan));
        }
        assert_ne!(Plan::from_seed(1), Plan::from_seed(2));
    }

    #[test]
    fn small_numbers_are_as_likely_as_large_ones() {
        let mut draw = Draw::new(1);
        let drawn: Vec<u64> = (0..1_000).map(|_| draw.small_or_large(10..=1_000_000)).collect();
        assert!(drawn.iter().all(|number| (10..=1_000_000).contains(number)));
        let small = drawn.iter().filter(|number| **number < 1_000).count();
        assert!((300..700).contains(&small), "{small} of 1,000 are below 1,000");
        assert!(drawn.iter().any(|number| *number > 500_000));
        draw.small_or_large(0..=u64::MAX);
        assert_eq!(draw.small_or_large(7..=7), 7);
    }
}
