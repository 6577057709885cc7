//! A run, told as it goes.

use std::io::{Write, stdout};

use toom_core::time::Instant;

use super::compact::compact;
use crate::invariants::{Broken, Checker, Moment, Observation};

/// Prints what happens. Finds nothing wrong.
#[derive(Debug)]
pub struct Narrator;

impl Checker for Narrator {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        if let Some(line) = line(what) {
            let seconds = (at.now - Instant::ZERO).as_secs_f64();
            // Whoever has stopped reading has what they wanted.
            let _ = writeln!(stdout(), "{seconds:>13.6} s  {line}");
        }
        Ok(())
    }
}

/// What happened, in one line; nothing if that is only for the checkers.
fn line(what: &Observation<'_>) -> Option<String> {
    Some(match what {
        // Whole machines are too long to read.
        Observation::ServerHandled(_)
        | Observation::ClientHandled(..)
        | Observation::TransfersHandled(..)
        | Observation::Link { .. } => return None,
        Observation::ServerRecovered(_) => "ServerRecovered".to_owned(),
        Observation::ServerEnds(_) => "ServerEnds".to_owned(),
        Observation::ServerStarts { log, .. } => format!("ServerStarts({} facts)", log.len()),
        Observation::DatagramSent { client, to, datagram } => {
            format!("DatagramSent({client}, to {to}, {} bytes)", datagram.len())
        }
        Observation::DatagramArrives { client, from, datagram, opened } => {
            format!("DatagramArrives({client}, from {from}, {} bytes, opened: {opened})", datagram.len())
        }
        Observation::SourceRead { client, transfer, offset, bytes } => {
            format!("SourceRead({client}, transfer {transfer}, {} bytes at {offset})", bytes.len())
        }
        Observation::Published { client, name, content, .. } => {
            format!("Published({client}, {name:?}, {} bytes)", content.len())
        }
        other => compact(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    use crate::simulate::{Plan, run::run_watched};

    #[derive(Debug, Default)]
    struct Lines(Rc<RefCell<Vec<String>>>);

    impl Checker for Lines {
        fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
            self.0.borrow_mut().extend(line(what));
            Ok(())
        }
    }

    #[test]
    fn every_line_of_a_run_is_short_and_shows_no_list_of_bytes() {
        let lines = Rc::new(RefCell::new(Vec::new()));
        run_watched(&Plan::from_seed(3), vec![Box::new(Lines(lines.clone()))]);
        let lines = lines.borrow();
        assert!(lines.len() > 100, "hardly anything happened");
        for line in lines.iter() {
            let numbers_in_a_row = line.split(", ").map(|part| part.parse::<u8>().is_ok());
            let longest = numbers_in_a_row.fold((0, 0), |(row, most), it| {
                let row = if it { row + 1 } else { 0 };
                (row, most.max(row))
            });
            assert!(line.chars().count() <= 240 && !line.contains('\n') && longest.1 < 8, "{line}");
        }
    }
}
