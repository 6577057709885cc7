//! A whole run, as data: what the world is like, and what happens in it, one choice after the other.

use core::fmt::Write as _;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use toom_core::client::io::AcceptPolicy;
use toom_core::server::Settings;

use super::act::Act;
use crate::sim::Options;
use crate::sim::fault::Fault;

/// How many people a plan may have.
pub const MAX_PEOPLE: usize = NAMES.len();

/// Their names: ordinary ones, ones with what file names and logs stumble over, one that begins another, and one
/// in other letters.
const NAMES: [&str; 12] = [
    "yoda",
    "luke",
    "leia",
    "Obi-wan",
    "han",
    "R2D2",
    "padmé",
    "lando.calrissian",
    "l",
    "チューバッカ",
    "C3PO_of_human_cyborg_relations_and_six_million_forms_of_words",
    "Yoda",
];

/// The name of a person.
pub fn name_of(person: usize) -> &'static str {
    NAMES[person % NAMES.len()]
}

/// A whole run. The seed in `options` decides all that is left to chance while it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the world is like.
    pub options: Options,
    /// How the server is set up.
    pub server: ServerPlan,
    /// Who is there: at most [`MAX_PEOPLE`].
    pub people: Vec<PersonPlan>,
    /// The sizes of the files that people may send.
    pub files: Vec<u64>,
    /// What people do by themselves.
    pub habits: Habits,
    /// What happens, in order.
    pub choices: Vec<Choice>,
}

/// How the server is set up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// How many consecutive failed logins block a name.
    pub attempts: u32,
    /// For how long.
    pub block: Duration,
    /// How long a session whose connection was lost stays active; with zero it ends with its connection.
    #[serde(default)]
    pub grace: Duration,
}

impl ServerPlan {
    /// What it is where nothing else is said.
    pub const CALM: ServerPlan = ServerPlan { attempts: 3, block: Duration::from_secs(10), grace: Duration::ZERO };

    /// As the server knows it.
    pub fn settings(self) -> Settings {
        let ServerPlan { attempts, block, grace } = self;
        Settings { attempts, block, grace, ..Settings::default() }
    }
}

/// A person.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersonPlan {
    /// What their client does with offers.
    pub accept: Accept,
    /// Whether they have an account from the start.
    pub account: bool,
    /// Whether their client comes back by itself when its connection is lost.
    #[serde(default)]
    pub reconnect: bool,
}

/// What a client does with offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accept {
    /// It asks its person.
    Ask,
    /// It takes all.
    All,
    /// It refuses all.
    None,
}

impl Accept {
    /// As the client knows it.
    pub fn policy(self) -> AcceptPolicy {
        match self {
            Accept::Ask => AcceptPolicy::Ask,
            Accept::All => AcceptPolicy::All,
            Accept::None => AcceptPolicy::None,
        }
    }
}

/// What people do by themselves when they lose their connection or a login fails.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    /// The probability that they try again.
    pub return_chance: f64,
    /// How long that takes them, at most.
    pub return_within: Duration,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// How long after the choice before it.
    pub after: Duration,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A person does something.
    Act {
        /// Who.
        person: usize,
        /// What.
        act: Act,
    },
    /// Something goes wrong. Clients are those that these people have now.
    Fault(Fault),
    /// All that went wrong is mended for now.
    Heal,
}

impl Plan {
    /// The plan as JSON, one choice in a line.
    pub fn to_json(&self) -> String {
        let mut text = String::from("{\n");
        for (key, value) in [
            ("options", json(&self.options)),
            ("server", json(&self.server)),
            ("people", json(&self.people)),
            ("files", json(&self.files)),
            ("habits", json(&self.habits)),
        ] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  \"{key}\": {value},");
        }
        text.push_str("  \"choices\": [");
        for (place, choice) in self.choices.iter().enumerate() {
            let _ = write!(text, "{}\n    {}", if place > 0 { "," } else { "" }, json(choice));
        }
        text.push_str("\n  ]\n}\n");
        text
    }

    /// Reads what [`to_json`](Plan::to_json) wrote.
    pub fn from_json(text: &str) -> Result<Plan, String> {
        let plan: Plan = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !(1..=MAX_PEOPLE).contains(&plan.people.len()) {
            return Err(format!("a plan has from 1 to {MAX_PEOPLE} people"));
        }
        Ok(plan)
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data can be written as JSON")
}
