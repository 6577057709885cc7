//! How much memory and how many file descriptors a process uses, as the system says.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// What a process uses at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// Bytes of memory that is resident.
    pub(super) memory: u64,
    /// Open file descriptors.
    pub(super) descriptors: u64,
}

impl Use {
    /// That of a process now; nothing if it is gone.
    pub(super) fn of(process: u32) -> Use {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let kilobytes = |line: &str| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).map_or(0, |entries| entries.count() as u64);
        Use { memory: status.lines().find_map(kilobytes).unwrap_or(0) * 1024, descriptors }
    }
}

/// Watches a process until it is asked for the most that it used.
pub(super) struct Gauge {
    most: Arc<[AtomicU64; 2]>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Gauge {
    /// Watches `process` from now on.
    pub(super) fn start(process: u32) -> Gauge {
        let (most, stop) = (Arc::new([const { AtomicU64::new(0) }; 2]), Arc::new(AtomicBool::new(false)));
        let (seen, ended) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !ended.load(Relaxed) {
                let now = Use::of(process);
                seen[0].fetch_max(now.memory, Relaxed);
                seen[1].fetch_max(now.descriptors, Relaxed);
                thread::sleep(EVERY);
            }
        });
        Gauge { most, stop, thread }
    }

    /// The most of each, not necessarily at the same moment.
    pub(super) fn most(self) -> Use {
        self.stop.store(true, Relaxed);
        // It cannot fail, and has no result.
        let _ = self.thread.join();
        Use { memory: self.most[0].load(Relaxed), descriptors: self.most[1].load(Relaxed) }
    }
}
