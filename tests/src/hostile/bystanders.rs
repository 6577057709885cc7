//! Two people who talk while others attack: whether everything comes, once and in order, and how long it takes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::processes::{ClientProcess, PATIENCE};

/// Between two exchanges.
const PAUSE: Duration = Duration::from_millis(20);

/// What they have met.
#[derive(Clone, Debug, Default)]
pub(super) struct Met {
    /// Messages that came as they should: in each exchange a broadcast and a direct message.
    pub(super) messages: u64,
    /// From typing a message to its arrival, the longest.
    pub(super) longest: Duration,
    /// What went wrong; they stop talking then.
    pub(super) fault: Option<String>,
}

/// The two.
pub(super) struct Bystanders {
    met: Arc<Mutex<Met>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bystanders {
    /// Lets them talk: `yoda` broadcasts, `luke` answers him alone.
    pub(super) fn start(mut yoda: ClientProcess, mut luke: ClientProcess) -> Bystanders {
        let (met, stop) = (Arc::new(Mutex::new(Met::default())), Arc::new(AtomicBool::new(false)));
        let (theirs, ended) = (Arc::clone(&met), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for number in 1u64.. {
                let result = exchange(&mut yoda, &mut luke, number);
                let mut met = lock(&theirs);
                match result {
                    Ok(delay) => {
                        met.messages += 2;
                        met.longest = met.longest.max(delay);
                    }
                    Err(error) => met.fault = Some(error.to_string()),
                }
                for said in [yoda.said(), luke.said()] {
                    if let Some(panic) = said.panic() {
                        met.fault = Some(format!("a client panicked: {panic}"));
                    }
                }
                if met.fault.is_some() || ended.load(Relaxed) {
                    return;
                }
                drop(met);
                thread::sleep(PAUSE);
            }
        });
        Bystanders { met, stop, thread: Some(thread) }
    }

    /// Begins to count anew.
    pub(super) fn begin(&self) {
        let mut met = lock(&self.met);
        (met.messages, met.longest) = (0, Duration::ZERO);
    }

    /// What they have met since [`begin`](Bystanders::begin), once they have talked again after this moment.
    pub(super) fn end(&self) -> Met {
        let give_up = Instant::now() + 2 * PATIENCE;
        // The exchange at hand may have begun before.
        let enough = lock(&self.met).messages + 4;
        loop {
            let met = lock(&self.met).clone();
            if met.messages >= enough || met.fault.is_some() || Instant::now() > give_up {
                return met;
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say that is not in `met`.
            let _ = thread.join();
        }
    }
}

fn lock(met: &Mutex<Met>) -> MutexGuard<'_, Met> {
    met.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One message of each; how long the slower one took.
fn exchange(yoda: &mut ClientProcess, luke: &mut ClientProcess, number: u64) -> io::Result<Duration> {
    let broadcast = say(yoda, luke, ("broadcast", "yoda"), "BCM", number)?;
    let direct = say(luke, yoda, ("direct_message", "luke"), "MSG yoda", number)?;
    Ok(broadcast.max(direct))
}

/// The first event of this kind from this person must be this message: what comes twice, late or never is found out.
fn say(
    from: &mut ClientProcess,
    to: &mut ClientProcess,
    (kind, name): (&str, &str),
    command: &str,
    number: u64,
) -> io::Result<Duration> {
    let text = format!("message {number} of {name}");
    let typed = Instant::now();
    from.type_line(&format!("{command} {text}"))?;
    let (at, event) = to.find(&text, |event| event["event"] == kind && event["from"] == name)?;
    if event["text"] != text.as_str() {
        return Err(io::Error::other(format!("instead of {text:?} came {event}")));
    }
    Ok(at.saturating_duration_since(typed))
}
