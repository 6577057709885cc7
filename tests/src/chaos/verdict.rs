//! Whether what people saw fits together.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::person::{Life, Person, Said};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What must not be, in sentences.
    pub faults: Vec<String>,
    /// Posts that were typed.
    pub posted: usize,
    /// Posts that were confirmed.
    pub confirmed: usize,
    /// How often a session was resumed.
    pub resumed: usize,
    /// The longest time without a server.
    pub longest_down: Duration,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { faults, posted, confirmed, resumed, longest_down, took } = self;
        let (down, took) = (longest_down.as_secs_f64(), took.as_secs_f64());
        write!(
            f,
            "{posted} posts, {confirmed} confirmed, {resumed} resumptions, longest without a server {down:.2} s, "
        )?;
        write!(f, "{took:.0} s: {} faults", faults.len())?;
        faults.iter().take(20).try_for_each(|fault| write!(f, "\n  FAULT: {fault}"))
    }
}

pub(super) fn judge(people: &[Person], longest_down: Duration, took: Duration) -> Outcome {
    let lives = || people.iter().flat_map(|person| &person.lives);
    let mut faults = Vec::new();
    let history = people.first().map(|person| person.history.clone()).unwrap_or_default();
    for person in people {
        if person.history != history {
            faults.push(format!("{} reads another history than the first person", person.name));
        }
    }
    let once = |(number, _, text): &Said, texts: &mut BTreeSet<String>, expected: u64| {
        let fits = *number == expected && texts.insert(text.clone());
        (!fits).then(|| format!("broadcast {number}, {text:?}, stands where {expected} should, or is there twice"))
    };
    let mut texts = BTreeSet::new();
    faults.extend((1..).zip(&history).filter_map(|(expected, said)| once(said, &mut texts, expected)));
    let by_number: BTreeMap<u64, &Said> = history.iter().map(|said| (said.0, said)).collect();
    for person in people {
        for life in &person.lives {
            faults.extend(judge_life(person, life, &by_number));
        }
        faults.extend(judge_heard(person, &history));
    }
    let confirmed = lives().flat_map(|life| &life.answers).filter(|answer| answer.is_ok()).count();
    let posted = lives().map(|life| life.posted.len()).sum();
    let resumed = lives().map(|life| life.resumed.len()).sum();
    Outcome { faults, posted, confirmed, resumed, longest_down, took }
}

/// What was confirmed is there, under its number, and what was heard is what was said.
fn judge_life(person: &Person, life: &Life, history: &BTreeMap<u64, &Said>) -> Vec<String> {
    let mut faults = Vec::new();
    let name = &person.name;
    for (text, answer) in life.posted.iter().zip(&life.answers) {
        match answer {
            Ok(number) => {
                let is_there = history.get(number).is_some_and(|said| said.1 == *name && said.2 == *text);
                if !is_there {
                    faults.push(format!(
                        "{name}'s {text:?} was confirmed as {number}, where there is {:?}",
                        history.get(number)
                    ));
                }
            }
            Err(error) => faults.push(format!("{name}'s {text:?} was answered with {error}")),
        }
    }
    let missing = life.posted.len() - life.answers.len().min(life.posted.len());
    if missing > 0 && !life.killed {
        faults.push(format!("{missing} posts of {name} were not answered"));
    }
    for said in life.heard.iter().filter(|said| history.get(&said.0) != Some(said)) {
        faults.push(format!("{name} heard {said:?}, where there is {:?}", history.get(&said.0)));
    }
    if !life.heard.is_sorted_by(|a, b| a.0 < b.0) {
        faults.push(format!("{name} heard broadcasts out of order, or twice"));
    }
    faults
}

/// Whoever was never killed heard everything that others said since the first thing that they heard.
fn judge_heard(person: &Person, history: &[Said]) -> Option<String> {
    let [life] = &person.lives[..] else { return None };
    let first = life.heard.first()?.0;
    let others: Vec<&Said> = history.iter().filter(|said| said.0 >= first && said.1 != person.name).collect();
    let heard = life.heard.len();
    (heard != others.len()).then(|| format!("{} heard {heard} of {} broadcasts", person.name, others.len()))
}
