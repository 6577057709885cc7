//! Whole runs: random people in a random world, drawn from one seed.
//!
//! # Theory of operation
//!
//! A [`plan`] is a run as data: what the world is like, and a list of choices. [`draw`] makes one from a seed.
//! [`run()`] carries it out: in the safety phase the choices happen one after the other while the checkers of
//! [`invariants`](crate::invariants) watch; in the liveness phase all is healed, everyone comes back, and all
//! must converge in bounded virtual time. What breaks is [`shrink`]ed by deleting choices until nothing more can
//! go, and kept among the [`regressions`], which are run as tests.
//!
//! | file | its idea |
//! |---|---|
//! | `plan`, `act` | a run, and what people can do, as data |
//! | `draw`, `draw_acts`, `draw_faults`, `draw_victims`, `draw_options` | a plan from a seed |
//! | `run`, `stage` | a run: its phases; the world with its people, and time |
//! | `person`, `perform`, `misbehave`, `hearing`, `aim` | what people know, do and hear; to whom faults happen |
//! | `liveness`, `task`, `agreement`, `accounts` | the liveness phase, and what the log says |
//! | `coverage`, `kinds`, `panics`, `compact` | what a run covered; panics and events in words |
//! | `shrink`, `simpler`, `regressions` | smaller plans that break the same, and those that are kept |
//! | `many`, `figures`, `ten_clients` | many runs at once, what they came to, and how fast they are |
//! | `narrator`, `progress`, `report` | a run told as it goes; how far many are; failures in full |

pub mod accounts;
pub mod act;
pub mod agreement;
pub mod aim;
pub mod compact;
pub mod coverage;
pub mod draw;
pub mod draw_acts;
pub mod draw_faults;
pub mod draw_options;
mod draw_resuming;
mod draw_victims;
pub mod figures;
mod hearing;
pub mod kinds;
pub mod liveness;
pub mod many;
mod misbehave;
pub mod narrator;
pub mod panics;
mod perform;
pub mod person;
pub mod plan;
pub mod progress;
pub mod regressions;
pub mod report;
pub mod run;
pub mod shrink;
pub mod simpler;
pub mod stage;
pub mod task;
pub mod ten_clients;

pub use plan::Plan;
pub use run::{Outcome, run};
