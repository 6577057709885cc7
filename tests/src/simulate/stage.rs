//! A world with its people: time goes on, people hear what they are told, and what was put off is done.

use core::time::Duration;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use toom_core::client::command::Command;
use toom_core::secure::Password;
use toom_core::server::Settings;
use toom_core::server::fact::Fact;
use toom_core::time::{Instant, Timestamp};

use super::coverage::{Heard, Listener, Told};
use super::person::{Person, State};
use super::plan::{Habits, Plan};
use crate::invariants::{Broken, Checker, Watch};
use crate::scenario::steps::user;
use crate::sim::dice::Dice;
use crate::sim::pending::Pending;
use crate::sim::world::Manner;
use crate::sim::{Options, Simulation};

/// Who has failed so often to come back waits until somebody tells them to.
const MAX_RETURNS: u32 = 8;
/// More steps than any run needs.
const MAX_STEPS: u64 = 20_000_000;
/// The invariant that is broken by a run that takes more.
pub const BOUNDED: &str = "liveness: a run takes a bounded number of steps";

/// A world with its people.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub simulation: Simulation,
    /// Everyone, as in the plan.
    pub people: Vec<Person>,
    /// How the server is set up.
    pub settings: Settings,
    pub(super) heard: Rc<RefCell<Heard>>,
    /// Whose clients these are.
    owners: BTreeMap<usize, usize>,
    pub(super) agenda: Pending<Later>,
    habits: Habits,
    /// The direct messages that anyone was shown.
    pub(super) shown: BTreeSet<String>,
    /// Whether somebody heard something, or did what was put off.
    pub(super) stirred: bool,
    pub(super) phase: Phase,
    steps: u64,
    epoch: Timestamp,
}

/// What people want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// They do as they like.
    Safety,
    /// They come back however often it takes.
    Liveness,
    /// They leave, and stay away.
    Leaving,
}

/// What was put off.
#[derive(Debug)]
pub(super) enum Later {
    /// A person starts a client, if there is none, and logs in, if nobody is logged in.
    ComeBack(usize),
    /// A person asks again for what their task wants.
    AskAgain(usize),
    /// A connection without a client is given these bytes, one after the other, with such a pause.
    Trickle(usize, Vec<u8>, Duration),
    /// A connection without a client is given these bytes.
    Write(usize, Vec<u8>),
    /// A connection without a client ends.
    EndRaw(usize),
}

impl Stage {
    /// A world in which the server runs and nobody is there yet.
    pub fn new(plan: &Plan, checkers: Vec<Box<dyn Checker>>) -> Stage {
        let mut simulation = Simulation::new(plan.options.clone());
        let heard = Rc::new(RefCell::new(Heard::default()));
        let mut all: Vec<Box<dyn Checker>> = vec![Box::new(Listener(heard.clone()))];
        all.extend(checkers);
        *simulation.watch() = Watch::new(all);
        let seed = plan.options.seed;
        let people: Vec<Person> =
            plan.people.iter().enumerate().map(|(number, person)| Person::new(seed, number, *person)).collect();
        for person in people.iter().filter(|person| person.plan.account) {
            simulation.append(Fact::AccountAdded { name: user(person.name), hash: person.hash().clone() });
        }
        put_files(&mut simulation, &plan.options, &plan.files);
        Stage {
            simulation,
            people,
            settings: plan.server.settings(),
            heard,
            owners: BTreeMap::new(),
            agenda: Pending::default(),
            habits: plan.habits,
            shown: BTreeSet::new(),
            stirred: true,
            phase: Phase::Safety,
            steps: 0,
            epoch: plan.options.epoch,
        }
    }

    /// How many steps the run took.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Nothing, unless an invariant was found broken.
    pub fn check(&mut self) -> Result<(), Broken> {
        match self.simulation.watch().broken() {
            Some(broken) => Err(broken.clone()),
            None => Ok(()),
        }
    }

    /// Lets time pass until then.
    pub fn pass_until(&mut self, until: Instant) -> Result<(), Broken> {
        while self.next_moment().is_some_and(|next| next <= until) {
            self.step()?;
        }
        self.simulation.run_until(until);
        self.check()
    }

    /// Lets the next thing happen; `false` if nothing ever will.
    pub fn step(&mut self) -> Result<bool, Broken> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Broken { invariant: BOUNDED, what: format!("it took {MAX_STEPS} steps already") });
        }
        let agenda = self.agenda.deadline();
        let world = self.simulation.next_deadline();
        let happened = match (world, agenda) {
            (Some(world), agenda) if agenda.is_none_or(|agenda| world <= agenda) => self.simulation.step(),
            (_, Some(agenda)) => {
                self.simulation.run_until(agenda);
                while let Some(later) = self.agenda.pop_due(agenda) {
                    self.carry_out(later);
                }
                true
            }
            _ => false,
        };
        self.listen();
        self.check()?;
        Ok(happened)
    }

    /// When the next thing happens.
    fn next_moment(&self) -> Option<Instant> {
        [self.simulation.next_deadline(), self.agenda.deadline()].into_iter().flatten().min()
    }

    /// The wall clock, if it has not jumped.
    pub(super) fn wall(&self) -> Timestamp {
        self.epoch.saturating_add(self.simulation.now() - Instant::ZERO)
    }

    pub(super) fn later(&mut self, after: Duration, later: Later) {
        self.agenda.push(self.simulation.now() + after, later);
    }

    /// Everyone hears what they were told.
    pub(super) fn listen(&mut self) {
        loop {
            let Some((client, told)) = self.heard.borrow_mut().told.pop_front() else { return };
            self.stirred = true;
            if self.simulation.is_alive(client) {
                self.simulation.client(client).events().clear();
            }
            let Some(&number) = self.owners.get(&client) else { continue };
            match told {
                // What a person is told is theirs, whichever client it was.
                Told::Event(event) => {
                    let newest = self.people[number].client == Some(client);
                    self.hear(number, newest, event);
                }
                Told::Ended if self.people[number].client == Some(client) => self.client_is_gone(number),
                Told::Ended => {}
            }
        }
    }

    /// A person's client is of no use any more. Maybe they come back.
    pub(super) fn client_is_gone(&mut self, number: usize) {
        let person = &mut self.people[number];
        if person.state == State::Gone {
            return;
        }
        person.state = State::Gone;
        person.offers.clear();
        person.asking.asked = false;
        self.may_come_back(number, Duration::ZERO);
    }

    /// A person who was refused or cut off may try again, not before this time has passed.
    pub(super) fn may_come_back(&mut self, number: usize, after: Duration) {
        let person = &mut self.people[number];
        if person.returning {
            return;
        }
        let wait = match self.phase {
            Phase::Leaving => return,
            Phase::Safety if person.returns >= MAX_RETURNS || !person.dice.chance(self.habits.return_chance) => return,
            Phase::Safety => person.dice.up_to(self.habits.return_within),
            Phase::Liveness => Duration::from_millis(200) + person.dice.up_to(Duration::from_secs(2)),
        };
        person.returning = true;
        person.returns += 1;
        self.later(after + wait, Later::ComeBack(number));
    }

    /// The person's client, started if there is none.
    pub(super) fn client_of(&mut self, number: usize) -> usize {
        if let (Some(client), true) = (self.people[number].client, self.people[number].state != State::Gone) {
            return client;
        }
        let person = &mut self.people[number];
        let manner = Manner { accept: person.plan.accept.policy(), reconnect: person.plan.reconnect };
        let client = match person.client {
            Some(before) => {
                self.simulation.kill(before);
                self.simulation.connect_from(manner, before)
            }
            None => self.simulation.connect(manner),
        };
        person.home = Some(self.simulation.client(client).address().ip());
        person.client = Some(client);
        person.state = State::LoggedOut;
        person.asking.asked = false;
        self.owners.insert(client, number);
        client
    }

    /// The person asks their client for something, if they have one.
    pub(super) fn ask(&mut self, number: usize, command: Command) {
        let person = &self.people[number];
        if let (Some(client), true) = (person.client, person.state != State::Gone)
            && self.simulation.is_alive(client)
        {
            self.simulation.command(client, command);
        }
    }

    /// The person logs in, on a new client if they have none.
    pub(super) fn log_in(&mut self, number: usize, name: &str, password: String) {
        self.client_of(number);
        self.ask(number, Command::Login { name: name.to_owned(), password: Password(password) });
    }

    fn carry_out(&mut self, later: Later) {
        self.stirred = true;
        match later {
            Later::ComeBack(number) => self.come_back(number),
            Later::AskAgain(number) => self.people[number].asking.asked = false,
            Later::Trickle(raw, bytes, pause) => self.trickle(raw, &bytes, pause),
            Later::Write(raw, bytes) => self.simulation.write_raw(raw, &bytes),
            Later::EndRaw(raw) => self.simulation.end_raw(raw),
        }
    }

    pub(super) fn come_back(&mut self, number: usize) {
        self.people[number].returning = false;
        if matches!(self.people[number].state, State::Gone | State::LoggedOut) {
            let password = match self.phase {
                Phase::Safety => self.people[number].password(),
                Phase::Liveness | Phase::Leaving => match self.password_in_the_log(number) {
                    Some(password) => password,
                    // Without an account there is nothing to come back to.
                    None => {
                        self.people[number].expected = false;
                        return;
                    }
                },
            };
            let name = self.people[number].name;
            self.log_in(number, name, password);
        }
    }

    pub(super) fn trickle(&mut self, raw: usize, bytes: &[u8], pause: Duration) {
        if let Some((first, rest)) = bytes.split_first() {
            self.simulation.write_raw(raw, &[*first]);
            self.later(pause, Later::Trickle(raw, rest.to_vec(), pause));
        }
    }
}

/// Where a file of the plan is; also one that does not exist.
pub(super) fn path_of(file: usize) -> PathBuf {
    PathBuf::from(format!("/files/{file}/film {file}.mp4"))
}

fn put_files(simulation: &mut Simulation, options: &Options, sizes: &[u64]) {
    for (file, bytes) in sizes.iter().enumerate() {
        let mut content = vec![0; usize::try_from(*bytes).expect("a file that fits memory")];
        Dice::new(options.seed, &format!("file {file}")).fill(&mut content);
        simulation.put_file(path_of(file), content.into());
    }
}
