//! A link that a bench makes itself: what leaves one end passes a queue, a rate, random loss and a delay before it
//! reaches the other end.
//!
//! [`Link`] has two sockets on loopback. Each end takes one of them for the other end, and a thread for each
//! direction carries what arrives at one socket on from the other one. When a datagram comes out, or whether it does,
//! is [`Lane`]'s business, which knows no sockets and no clock.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use toom_core::wire::ecn::Ecn;
use toom_store::system::udp::{Received, Socket, Way};

use super::lane::{Counts, Lane, LinkOptions};

/// What leaves within this time leaves together, late by as much at most: otherwise a link of 1 Gbit/s would take a
/// whole core for one system call for each datagram.
const STEP: Duration = Duration::from_micros(50);

/// How late the kernel may wake us, in nanoseconds; by default it is 50,000.
const TIMER_SLACK_NANOS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();

/// How long a link without traffic takes to notice that it is to end, and a send waits for room.
const PATIENCE: Duration = Duration::from_millis(20);

/// What one direction holds at most, whatever it is asked to be like: both ends together keep less under way.
const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;

/// What one system call sends.
const MAX_RUN_BYTES: usize = 64_000;

/// Receiving calls before what is due is sent.
const RECEIVES_PER_ROUND: usize = 4;

/// Buffers that are kept for their memory.
const SPARE_BUFFERS: usize = 64;

/// A link under way; it ends when this is dropped.
pub(super) struct Link {
    /// What the sender takes for the receiver.
    pub(super) for_sender: SocketAddr,
    /// What the receiver takes for the sender.
    pub(super) for_receiver: SocketAddr,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Counts>>,
}

impl Link {
    /// A link between two ends on this machine. `run` makes the losses of one run differ from those of the next.
    pub(super) fn start(options: LinkOptions, run: u32, sender: SocketAddr, receiver: SocketAddr) -> io::Result<Link> {
        let bind = || Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map(Arc::new);
        let at = |socket: &Socket| Ok::<_, io::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, socket.port()?)));
        let (near_sender, near_receiver) = (bind()?, bind()?);
        let (for_sender, for_receiver) = (at(&near_sender)?, at(&near_receiver)?);
        let mut link = Link { for_sender, for_receiver, ended: Arc::default(), threads: Vec::new() };
        let directions =
            [(&near_sender, sender, &near_receiver, receiver), (&near_receiver, receiver, &near_sender, sender)];
        for (number, (arrives_at, from, leaves_by, to)) in (0..).zip(directions) {
            let direction = Direction {
                arrives_at: Arc::clone(arrives_at),
                from,
                leaves_by: Arc::clone(leaves_by),
                to,
                lane: Lane::new(options, u64::from(run) * 2 + number),
                held: Held::default(),
                ended: Arc::clone(&link.ended),
            };
            link.threads.push(thread::Builder::new().name("link".to_owned()).spawn(move || direction.run())?);
        }
        Ok(link)
    }

    /// Ends it; what both directions counted together.
    pub(super) fn stop(mut self) -> Counts {
        self.ended.store(true, Relaxed);
        let counts = self.threads.drain(..).filter_map(|thread| thread.join().ok());
        counts.fold(Counts::default(), Counts::and)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
    }
}

/// One direction, for its thread.
struct Direction {
    arrives_at: Arc<Socket>,
    from: SocketAddr,
    leaves_by: Arc<Socket>,
    to: SocketAddr,
    lane: Lane,
    held: Held,
    ended: Arc<AtomicBool>,
}

impl Direction {
    fn run(mut self) -> Counts {
        // Without it the link is a little later, which it counts.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NANOS));
        let (began, mut received) = (Instant::now(), Received::default());
        while !self.ended.load(Relaxed) {
            let now = began.elapsed();
            let pause = self.held.next_due().map_or(PATIENCE, |due| due.saturating_sub(now).clamp(STEP, PATIENCE));
            if is_ready(&self.arrives_at, PollFlags::IN, pause) {
                self.receive(began, &mut received);
            }
            self.send(began);
        }
        self.lane.counts()
    }

    fn receive(&mut self, began: Instant, received: &mut Received) {
        for _ in 0..RECEIVES_PER_ROUND {
            // An error is one of an earlier datagram that could not be delivered: that one is lost.
            let more = self.arrives_at.receive(received).unwrap_or(false);
            let now = began.elapsed();
            for (from, ecn, datagram) in received.datagrams() {
                if from != self.from {
                    continue;
                }
                if self.held.bytes + datagram.len() > MAX_HELD_BYTES {
                    self.lane.drop_one();
                } else if let Some(due) = self.lane.take(now, datagram.len()) {
                    self.held.push(due, ecn == Ecn::Ect0, datagram);
                }
            }
            if !more {
                return;
            }
        }
    }

    /// Sends what is due, many datagrams with each call.
    fn send(&mut self, began: Instant) {
        let Direction { held, lane, leaves_by, to, .. } = self;
        loop {
            let now = began.elapsed();
            let sent = held.take_due(
                now,
                |due| lane.sent(now.saturating_sub(due)),
                |bytes, segment_size, ecn_capable| {
                    let way = Way { to: *to, segment_size, ecn_capable };
                    let mut rest = bytes;
                    while !rest.is_empty() {
                        match leaves_by.send(way, rest) {
                            Some(left) => rest = left,
                            None if is_ready(leaves_by, PollFlags::OUT, PATIENCE) => {}
                            None => return,
                        }
                    }
                },
            );
            if !sent {
                return;
            }
        }
    }
}

fn is_ready(socket: &Socket, flags: PollFlags, timeout: Duration) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
    poll(&mut [PollFd::new(socket, flags)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// Datagrams on their way, in order, as runs that one system call can send.
#[derive(Default)]
struct Held {
    runs: VecDeque<Run>,
    bytes: usize,
    /// For their memory.
    spare: Vec<Run>,
}

/// Datagrams of one size; the last may be shorter, and ends the run.
#[derive(Default)]
struct Run {
    size: usize,
    /// Whether the network may mark them: what leaves an end arrives so at the other one.
    ecn_capable: bool,
    bytes: Vec<u8>,
    /// Bytes that have left.
    sent: usize,
    dues: VecDeque<Duration>,
}

impl Held {
    fn push(&mut self, due: Duration, ecn_capable: bool, datagram: &[u8]) {
        let fits = |run: &&mut Run| {
            let whole = run.bytes.len().is_multiple_of(run.size);
            let alike = datagram.len() <= run.size && ecn_capable == run.ecn_capable;
            whole && alike && run.bytes.len() + datagram.len() <= MAX_RUN_BYTES
        };
        self.bytes += datagram.len();
        if let Some(run) = self.runs.back_mut().filter(fits) {
            run.bytes.extend_from_slice(datagram);
            run.dues.push_back(due);
            return;
        }
        let mut run = self.spare.pop().unwrap_or_default();
        (run.size, run.ecn_capable, run.sent) = (datagram.len(), ecn_capable, 0);
        run.bytes.clear();
        run.bytes.extend_from_slice(datagram);
        run.dues.clear();
        run.dues.push_back(due);
        self.runs.push_back(run);
    }

    fn next_due(&self) -> Option<Duration> {
        self.runs.front()?.dues.front().copied()
    }

    /// Gives what is due of the first run to `send`, with the size of its datagrams, and tells `each` when each of
    /// them was due; whether there was any.
    fn take_due(&mut self, now: Duration, each: impl FnMut(Duration), send: impl FnOnce(&[u8], usize, bool)) -> bool {
        let Some(run) = self.runs.front_mut() else { return false };
        let count = run.dues.iter().take_while(|due| **due <= now).count();
        if count == 0 {
            return false;
        }
        run.dues.drain(..count).for_each(each);
        let end = run.bytes.len().min(run.sent + count * run.size);
        send(&run.bytes[run.sent..end], run.size, run.ecn_capable);
        self.bytes -= end - run.sent;
        run.sent = end;
        if run.dues.is_empty()
            && let Some(run) = self.runs.pop_front()
            && self.spare.len() < SPARE_BUFFERS
        {
            self.spare.push(run);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// What leaves at `now`: for each call, how many bytes, and of which size.
    fn due(held: &mut Held, now: Duration) -> Vec<(Vec<u8>, usize)> {
        let mut sent = Vec::new();
        while held.take_due(now, |_| {}, |bytes, size, _| sent.push((bytes.to_vec(), size))) {}
        sent
    }

    #[test]
    fn datagrams_of_one_size_leave_together_when_they_are_due_and_all_in_order() {
        let mut held = Held::default();
        for (millis, datagram) in [(1, &b"aaa"[..]), (2, b"bbb"), (3, b"c"), (4, b"dd"), (5, b"eee")] {
            held.push(at(millis), false, datagram);
        }
        assert_eq!((held.next_due(), held.bytes, due(&mut held, at(0))), (Some(at(1)), 12, vec![]));
        assert_eq!(due(&mut held, at(1)), [(b"aaa".to_vec(), 3)]);
        assert_eq!(due(&mut held, at(4)), [(b"bbbc".to_vec(), 3), (b"dd".to_vec(), 2)]);
        assert_eq!(due(&mut held, at(5)), [(b"eee".to_vec(), 3)]);
        assert_eq!((held.next_due(), held.bytes), (None, 0));
    }

    #[test]
    fn what_may_be_marked_leaves_apart_from_what_may_not() {
        let mut held = Held::default();
        [(true, b"aa"), (true, b"bb"), (false, b"cc")].iter().for_each(|(ecn, it)| held.push(at(1), *ecn, *it));
        let mut sent = Vec::new();
        while held.take_due(at(1), |_| {}, |bytes, _, ecn| sent.push((bytes.to_vec(), ecn))) {}
        assert_eq!(sent, [(b"aabb".to_vec(), true), (b"cc".to_vec(), false)]);
    }

    #[test]
    fn no_run_is_larger_than_one_call_takes() {
        let mut held = Held::default();
        (0..200).for_each(|_| held.push(at(1), true, &[7; 1_200]));
        let sent = due(&mut held, at(1));
        assert_eq!(sent.iter().map(|(bytes, _)| bytes.len()).sum::<usize>(), 200 * 1_200);
        assert!(sent.len() == 4 && sent.iter().all(|(bytes, _)| bytes.len() <= MAX_RUN_BYTES));
    }

    #[test]
    fn what_one_end_sends_arrives_at_the_other_from_where_that_expects_it() {
        let end = || Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = |end: &Socket| SocketAddr::from((Ipv4Addr::LOCALHOST, end.port().unwrap()));
        let (sender, receiver, stranger) = (end(), end(), end());
        let options =
            LinkOptions { rate: Some(1_000_000_000), loss_percent: 0.0, delay: at(1), largest: 65_000, seed: 1 };
        let link = Link::start(options, 1, address(&sender), address(&receiver)).unwrap();
        stranger.send(way(link.for_sender), b"from nowhere").unwrap();
        sender.send(way(link.for_sender), b"there").unwrap();
        assert_eq!(next(&receiver), (link.for_receiver, b"there".to_vec()));
        receiver.send(way(link.for_receiver), b"back").unwrap();
        assert_eq!(next(&sender), (link.for_sender, b"back".to_vec()));
        let counts = link.stop();
        assert_eq!((counts.sent, counts.lost, counts.dropped), (2, 0, 0));
    }

    fn way(to: SocketAddr) -> Way {
        Way { to, segment_size: 100, ecn_capable: false }
    }

    fn next(socket: &Socket) -> (SocketAddr, Vec<u8>) {
        let mut received = Received::default();
        for _ in 0..60_000 / PATIENCE.as_millis() {
            if is_ready(socket, PollFlags::IN, PATIENCE) {
                socket.receive(&mut received).unwrap();
                let (from, _, datagram) = received.datagrams().next().unwrap();
                return (from, datagram.to_vec());
            }
        }
        panic!("nothing arrived");
    }
}
