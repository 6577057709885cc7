//! What came of an attack, and the table of all.

use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::gauge::Use;

/// What came of an attack.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How many times it was tried.
    pub(super) tried: u64,
    counted: BTreeMap<String, u64>,
    notes: Vec<String>,
    /// What should not have happened.
    pub(super) faults: Vec<String>,
}

impl Outcome {
    /// Something was tried, and this came of it.
    pub(super) fn count(&mut self, what: &str) {
        self.count_many(what, 1);
    }

    /// The same, many times.
    pub(super) fn count_many(&mut self, what: &str, times: u64) {
        self.tried += times;
        self.add(what, times);
    }

    /// Something else was seen, this often.
    pub(super) fn add(&mut self, what: &str, times: u64) {
        if times > 0 {
            *self.counted.entry(what.to_owned()).or_default() += times;
        }
    }

    /// How often this came of it.
    pub(super) fn counted(&self, what: &str) -> u64 {
        self.counted.get(what).copied().unwrap_or(0)
    }

    /// Something worth telling.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Something that should not have happened.
    pub(super) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// A fault unless `holds`.
    pub(super) fn check(&mut self, holds: bool, fault: impl Into<String>) {
        if !holds {
            self.fault(fault);
        }
    }

    /// What came of the same attack elsewhere.
    pub(super) fn merge(&mut self, other: Outcome) {
        self.tried += other.tried;
        for (what, times) in other.counted {
            *self.counted.entry(what).or_default() += times;
        }
        self.notes.extend(other.notes);
        self.faults.extend(other.faults);
    }

    /// Something that should have worked: the fault if it did not.
    pub(super) fn must<T>(&mut self, what: &str, result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.fault(format!("{what}: {error}"))).ok()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.counted.iter().map(|(what, times)| format!("{what}: {times}"));
        f.write_str(&counted.chain(self.notes.iter().cloned()).collect::<Vec<_>>().join(", "))
    }
}

/// One attack, and what went on meanwhile.
#[derive(Debug)]
pub struct Row {
    pub(super) name: &'static str,
    pub(super) what: String,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    /// Messages of the bystanders, and the longest delay of one.
    pub(super) messages: u64,
    pub(super) longest: Duration,
    /// Of the server: before, the most, and after.
    pub(super) uses: [Use; 3],
    pub(super) same_process: bool,
}

impl Row {
    /// What should not have happened.
    pub fn faults(&self) -> &[String] {
        &self.outcome.faults
    }

    fn memory(&self) -> String {
        self.uses.map(|it| (it.memory >> 20).to_string()).join("/")
    }

    fn descriptors(&self) -> String {
        self.uses.map(|it| it.descriptors.to_string()).join("/")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { name, what, outcome, took, messages, longest, .. } = self;
        let same = if self.same_process { "same process" } else { "THE SERVER IS GONE" };
        write!(
            f,
            "{name}: {what}; {} tried; {outcome}; bystanders: {messages} messages, longest {} ms; memory {} MiB, \
             descriptors {}; {same}; {:.1} s",
            outcome.tried,
            longest.as_millis(),
            self.memory(),
            self.descriptors(),
            took.as_secs_f64(),
        )?;
        self.faults().iter().try_for_each(|fault| write!(f, "\n  FAULT: {fault}"))
    }
}

/// All rows as a table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| attack | what was tried | times | what happened | others' longest delay | memory before/most/after, MiB | \
         descriptors before/most/after | disturbed |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let disturbed = if row.faults().is_empty() { "nobody".to_owned() } else { row.faults().join("; ") };
        table += &format!(
            "| {} | {} | {} | {} | {} ms | {} | {} | {disturbed} |\n",
            row.name,
            row.what,
            row.outcome.tried,
            row.outcome,
            row.longest.as_millis(),
            row.memory(),
            row.descriptors(),
        );
    }
    table
}
