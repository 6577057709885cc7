//! A run, told as it goes.

use std::io::{Write, stdout};

use toom_core::time::Instant;

use crate::invariants::{Broken, Checker, Moment, Observation};

/// A line that is longer than this is cut.
const LONGEST: usize = 240;

/// Prints what happens. Finds nothing wrong.
#[derive(Debug)]
pub struct Narrator;

impl Checker for Narrator {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        let line = match what {
            // Whole machines are too long to read.
            Observation::ServerRecovered(_) => "ServerRecovered".to_owned(),
            Observation::ServerEnds(_) => "ServerEnds".to_owned(),
            Observation::ServerHandled(_) | Observation::ClientHandled(..) | Observation::TransfersHandled(..) => {
                return Ok(());
            }
            Observation::DatagramSent { client, to, datagram } => {
                format!("DatagramSent({client}, to {to}, {} bytes)", datagram.len())
            }
            Observation::DatagramArrives { client, from, datagram, opened } => {
                format!("DatagramArrives({client}, from {from}, {} bytes, opened: {opened})", datagram.len())
            }
            Observation::Published { client, name, content, .. } => {
                format!("Published({client}, {name:?}, {} bytes)", content.len())
            }
            other => format!("{other:?}"),
        };
        let seconds = (at.now - Instant::ZERO).as_secs_f64();
        let line: String = line.chars().take(LONGEST).collect();
        // Whoever has stopped reading has what they wanted.
        let _ = writeln!(stdout(), "{seconds:>13.6} s  {line}");
        Ok(())
    }
}
