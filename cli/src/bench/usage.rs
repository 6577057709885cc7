//! What a process has used, as the system counts it.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// User and system time of this process.
pub(super) fn cpu() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// The clock that all processes of this machine share and that never goes back.
pub(super) fn monotonic() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

/// The most memory that this process ever had, in bytes; 0 where the system does not say it like Linux.
pub(super) fn peak_rss() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| peak_of(&status)).unwrap_or(0)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn duration(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_as_linux_writes_it() {
        assert_eq!(peak_of("Name:\ttoom\nVmHWM:\t    5120 kB\nVmRSS:\t 1 kB\n"), Some(5120 * 1024));
        assert_eq!(peak_of("Name:\ttoom\n"), None);
    }

    #[test]
    fn work_takes_processor_time() {
        let (cpu_before, before) = (cpu(), monotonic());
        while cpu() - cpu_before < Duration::from_millis(2) {
            std::hint::black_box((0..1000).sum::<u64>());
        }
        assert!(monotonic() > before);
    }
}
