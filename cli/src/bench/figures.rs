//! What the runs of `bench transfer` came to: a table for people, and one object for scripts.

use serde_json::{Value, json};
use toom_core::config::Congestion;

use super::end::Ended;
use super::lane::{Counts, LinkOptions};
use crate::line::human;

/// What is measured.
pub(super) struct Subject {
    /// The driver.
    pub(super) runtime: &'static str,
    /// The size of the file.
    pub(super) bytes: u64,
    /// The size of datagrams, if it was given.
    pub(super) payload: Option<usize>,
    /// Which congestion control.
    pub(super) congestion: Congestion,
    /// At most so many bits a second, if that was asked for.
    pub(super) limit: Option<u64>,
    /// What is between the ends, other than loopback.
    pub(super) link: Option<LinkOptions>,
}

/// What one run came to.
pub(super) struct Run {
    pub(super) seconds: f64,
    pub(super) sender: Ended,
    pub(super) receiver: Ended,
    /// What the link counted; nothing without one.
    pub(super) link: Counts,
    pub(super) verified: bool,
}

/// What the columns of the table mean, and how wide they are: processor time, peak memory and system calls of both
/// ends, and what was sent twice.
const COLUMNS: [(&str, usize); 12] = [
    ("run", 3),
    ("time", 8),
    ("goodput", 12),
    ("cpu out", 8),
    ("cpu in", 8),
    ("memory out", 10),
    ("memory in", 10),
    ("calls out", 9),
    ("calls in", 9),
    ("packets", 9),
    ("sent again", 11),
    ("verified", 8),
];

/// More columns where there is a link: how much of its rate was goodput, what it lost, what its queue dropped, and how
/// late it was.
const LINK_COLUMNS: [(&str, usize); 4] = [("share", 7), ("lost", 8), ("dropped", 8), ("late", 8)];

impl Subject {
    /// Over the rows.
    pub(super) fn heading(&self) -> String {
        let names: Vec<_> = COLUMNS.iter().chain(&LINK_COLUMNS).map(|(name, _)| (*name).to_owned()).collect();
        self.line(&names)
    }

    /// One run.
    pub(super) fn row(&self, number: u32, run: &Run) -> String {
        let goodput = run.goodput_bps(self.bytes);
        let cells = [
            number.to_string(),
            format!("{:.2} s", run.seconds),
            human::rate(goodput as u64),
            format!("{:.2} s", run.sender.cpu_s),
            format!("{:.2} s", run.receiver.cpu_s),
            human::size(run.sender.peak_rss),
            human::size(run.receiver.peak_rss),
            run.sender.system_calls.to_string(),
            run.receiver.system_calls.to_string(),
            run.sender.packets.to_string(),
            human::size(run.sender.retransmitted_bytes),
            if run.verified { "yes" } else { "NO" }.to_owned(),
            self.rate().map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", goodput / rate * 100.0)),
            run.link.lost.to_string(),
            run.link.dropped.to_string(),
            format!("{} us", run.link.mean_lateness().as_micros()),
        ];
        self.line(&cells)
    }

    fn line(&self, cells: &[String]) -> String {
        let columns = COLUMNS.len() + if self.link.is_some() { LINK_COLUMNS.len() } else { 0 };
        let widths = COLUMNS.iter().chain(&LINK_COLUMNS).take(columns);
        let cells = cells.iter().zip(widths).map(|(text, (_, width))| format!("{text:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    }

    fn rate(&self) -> Option<f64> {
        self.link.and_then(|link| link.rate).map(|rate| rate as f64)
    }

    /// The medians over all runs.
    pub(super) fn result(&self, runs: &[Run]) -> Value {
        let exact = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
        let whole =
            |figure: fn(&Run) -> u64| median(runs.iter().map(|run| figure(run) as f64).collect()).round() as u64;
        let goodput_bps = median(runs.iter().map(|run| run.goodput_bps(self.bytes)).collect());
        let mut result = json!({
            "runtime": self.runtime,
            "bytes": self.bytes,
            "congestion": self.congestion,
            "limit_bps": self.limit,
            "payload": whole(|run| run.sender.payload as u64),
            "goodput_bps": goodput_bps.round() as u64,
            "sender_cpu_s": exact(|run| run.sender.cpu_s),
            "receiver_cpu_s": exact(|run| run.receiver.cpu_s),
            "sender_peak_rss": whole(|run| run.sender.peak_rss),
            "receiver_peak_rss": whole(|run| run.receiver.peak_rss),
            "sender_system_calls": whole(|run| run.sender.system_calls),
            "receiver_system_calls": whole(|run| run.receiver.system_calls),
            "packets": whole(|run| run.sender.packets),
            "retransmitted_bytes": whole(|run| run.sender.retransmitted_bytes),
            "acks": whole(|run| run.receiver.acks),
            "verified": runs.iter().all(|run| run.verified),
        });
        if let (Some(link), Value::Object(result)) = (self.link, &mut result) {
            // The latest of all runs: what the middle one hides would matter.
            let latest = runs.iter().map(|run| run.link.latest.as_micros() as u64).max();
            let mean = whole(|run| run.link.mean_lateness().as_micros() as u64);
            result.insert("rate_bps".into(), json!(link.rate));
            result.insert("goodput_share".into(), json!(self.rate().map(|rate| goodput_bps / rate)));
            result.insert("loss_percent".into(), json!(link.loss_percent));
            result.insert("delay_ms".into(), json!(link.delay.as_secs_f64() * 1e3));
            result.insert("link_lost".into(), json!(whole(|run| run.link.lost)));
            result.insert("link_dropped".into(), json!(whole(|run| run.link.dropped)));
            result.insert("link_lateness_us".into(), json!({"mean": mean, "max": latest}));
        }
        result
    }
}

impl Run {
    fn goodput_bps(&self, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / self.seconds.max(1e-9)
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match (figures.len(), figures.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 1 => figures[middle],
        (_, middle) => (figures[middle - 1] + figures[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
