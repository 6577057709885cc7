//! Plans that are a little simpler than a plan, the most promising ones first.

use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::act::{Act, Text, Whom};
use super::aim::clients;
use super::plan::{Accept, Choice, Habits, PersonPlan, Plan, ServerPlan, What};
use crate::sim::Options;

/// Without one of the people, and with ordinary people.
pub fn people(plan: &Plan) -> Vec<Plan> {
    let count = plan.people.len();
    let without = (0..count).rev().filter(|_| count > 1).map(|person| without_person(plan, person));
    let calm = PersonPlan { accept: Accept::Ask, account: true, reconnect: false };
    let ordinary = (0..count).filter(|person| plan.people[*person] != calm).map(|person| {
        let mut plan = plan.clone();
        plan.people[person] = calm;
        plan
    });
    without.chain(ordinary).collect()
}

/// Without the last file, and with smaller files.
pub fn files(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut fewer = plan.clone();
    if fewer.files.pop().is_some() {
        plans.push(fewer);
    }
    for (file, bytes) in plan.files.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
        for smaller in [0, 1, bytes / 10, bytes / 2] {
            let mut plan = plan.clone();
            plan.files[file] = smaller;
            plans.push(plan);
        }
    }
    plans.retain(|smaller| smaller != plan);
    plans
}

/// With calmer habits, a calmer server, and one thing in the world calm.
pub fn world(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    let habits = Habits { return_chance: 0.0, return_within: Duration::ZERO };
    plans.push(Plan { habits, ..plan.clone() });
    plans.push(Plan { server: ServerPlan::CALM, ..plan.clone() });
    let calm = Options::calm(plan.options.seed);
    plans.push(Plan { options: calm.clone(), ..plan.clone() });
    let calmer = calmer(&to_value(&plan.options), &to_value(&calm));
    plans.extend(calmer.into_iter().filter_map(from_value).map(|options| Plan { options, ..plan.clone() }));
    plans.retain(|simpler| simpler != plan);
    plans
}

/// With one choice at once or sooner, or shorter, or with its pause put to that of the next one.
pub fn choices(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (place, choice) in plan.choices.iter().enumerate() {
        let pauses = plan.choices.get(place + 1).map(|next| (choice.after, next.after));
        // Where there is nothing to merge with it would only be moved.
        if let Some((first, second)) = pauses.filter(|(first, second)| !first.is_zero() && !second.is_zero()) {
            let mut plan = plan.clone();
            plan.choices[place].after = Duration::ZERO;
            plan.choices[place + 1].after = first + second;
            plans.push(plan);
        }
        for simpler in simpler_choices(choice) {
            let mut plan = plan.clone();
            plan.choices[place] = simpler;
            plans.push(plan);
        }
    }
    plans
}

/// Nobody takes the place of `person`: what they did is not done, and who meant them means nobody.
fn without_person(plan: &Plan, person: usize) -> Plan {
    let count = plan.people.len();
    let mut plan = plan.clone();
    plan.people.remove(person);
    let renumbered = |number: usize| {
        let number = number % count;
        (number != person).then_some(if number > person { number - 1 } else { number })
    };
    plan.choices = plan.choices.iter().filter_map(|choice| renumber(choice, &renumbered)).collect();
    plan
}

fn renumber(choice: &Choice, renumbered: &impl Fn(usize) -> Option<usize>) -> Option<Choice> {
    let mut choice = choice.clone();
    match &mut choice.what {
        What::Act { person, act } => {
            *person = renumbered(*person)?;
            for whom in users(act) {
                if let Whom::Person(number) = whom {
                    *whom = renumbered(*number).map_or(Whom::Stranger, Whom::Person);
                }
            }
        }
        What::Fault(fault) => {
            for client in clients(fault) {
                *client = renumbered(*client)?;
            }
        }
        What::Heal => {}
    }
    Some(choice)
}

fn users(act: &mut Act) -> Vec<&mut Whom> {
    match act {
        Act::LogIn { name: whom, .. }
        | Act::Guess { name: whom, .. }
        | Act::Direct { to: whom, .. }
        | Act::Invite { user: whom, .. }
        | Act::SendFile { to: whom, .. } => vec![whom],
        Act::BuildRoom { users } => users.iter_mut().collect(),
        _ => Vec::new(),
    }
}

fn simpler_choices(choice: &Choice) -> Vec<Choice> {
    let mut simpler = Vec::new();
    let seconds = choice.after.as_secs();
    let rounded = Duration::from_secs(seconds);
    for after in [Duration::ZERO, rounded, Duration::from_secs(seconds / 10), choice.after / 2] {
        // Halves of what is short lead nowhere.
        if after < choice.after && (after != choice.after / 2 || seconds > 0) {
            simpler.push(Choice { after, ..choice.clone() });
        }
    }
    if let What::Act { person, act } = &choice.what {
        let acts = simpler_acts(act);
        simpler
            .extend(acts.into_iter().map(|act| Choice { what: What::Act { person: *person, act }, ..choice.clone() }));
    }
    simpler
}

fn simpler_acts(act: &Act) -> Vec<Act> {
    let short = |text: &Text| Text { bytes: text.bytes.min(1), ..*text };
    let simpler = match act {
        Act::Broadcast(text) => vec![Act::Broadcast(short(text))],
        Act::Direct { to, text } => vec![Act::Direct { to: *to, text: short(text) }],
        Act::RoomMessage { room, text } => vec![Act::RoomMessage { room: *room, text: short(text) }],
        Act::BuildRoom { users } => {
            let without = |place: usize| users[..place].iter().chain(&users[place + 1..]).copied().collect();
            (0..users.len()).map(|place| Act::BuildRoom { users: without(place) }).collect()
        }
        Act::Guess { name, password, times, lasting } if *times > 1 => [1, times / 2, times - 1]
            .map(|times| Act::Guess { name: *name, password: *password, times, lasting: *lasting })
            .to_vec(),
        _ => Vec::new(),
    };
    simpler.into_iter().filter(|simpler| simpler != act).collect()
}

/// `value` with one of its parts as it is in `calm`: larger parts first.
fn calmer(value: &Value, calm: &Value) -> Vec<Value> {
    let (Value::Object(value), Value::Object(calm)) = (value, calm) else { return Vec::new() };
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for (key, part) in value {
        let Some(calm_part) = calm.get(key).filter(|calm_part| *calm_part != part) else { continue };
        let replaced = |part: Value| {
            let mut value = value.clone();
            value.insert(key.clone(), part);
            Value::Object(value)
        };
        whole.push(replaced(calm_part.clone()));
        parts.extend(calmer(part, calm_part).into_iter().map(replaced));
    }
    whole.extend(parts);
    whole
}

fn to_value(options: &impl Serialize) -> Value {
    serde_json::to_value(options).expect("plain data can be written as JSON")
}

/// Nothing if the parts do not fit each other.
fn from_value<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fault::Fault;

    #[test]
    fn a_person_goes_with_all_that_they_did() {
        let mut plan = Plan::from_seed(1);
        let people = PersonPlan { accept: Accept::All, account: true, reconnect: false };
        plan.people = vec![people; 3];
        let act = |person, act| Choice { after: Duration::ZERO, what: What::Act { person, act } };
        let invite = |number| Act::Invite { room: 1, user: Whom::Person(number) };
        let reset = |client| Choice { after: Duration::ZERO, what: What::Fault(Fault::Reset { client }) };
        plan.choices = vec![act(0, invite(2)), act(1, Act::Rooms), act(2, invite(1)), reset(1), reset(5)];
        let fewer = without_person(&plan, 1);
        assert_eq!(fewer.people.len(), 2);
        assert_eq!(fewer.choices, [act(0, invite(1)), act(1, Act::Invite { room: 1, user: Whom::Stranger }), reset(1)]);
    }

    #[test]
    fn every_simpler_plan_differs_and_all_end_in_a_calm_world() {
        let mut plan = Plan::from_seed(5);
        let mut steps = 0;
        while let Some(simpler) =
            [people, files, world, choices].iter().find_map(|simpler| simpler(&plan).into_iter().last())
        {
            assert_ne!(simpler, plan);
            plan = simpler;
            steps += 1;
            assert!(steps < 20_000, "it never ends");
        }
        assert_eq!(plan.options, Options::calm(5));
    }
}
