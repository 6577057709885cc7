//! Queues between threads, from many senders to one receiver.
//!
//! [`Posts::send`] waits while the queue is full: back-pressure for what comes from outside. [`Posts::post`]
//! never waits: for answers and commands, whose number the receiver itself bounds, so that two threads can
//! never wait for each other. The receiver is woken through a file descriptor, so that it can wait for its
//! sockets at the same time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};

/// The sending side; may be cloned.
#[derive(Debug)]
pub(crate) struct Posts<T>(Arc<Shared<T>>);

/// The receiving side. When it is dropped, whatever is sent is dropped too.
#[derive(Debug)]
pub(crate) struct Mailbox<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// Told when the receiver has taken what was there.
    room: Condvar,
    capacity: usize,
    wake: OwnedFd,
}

#[derive(Debug)]
struct Queue<T> {
    items: Vec<T>,
    closed: bool,
}

/// A mailbox in which `send` waits while it has `capacity` items.
pub(crate) fn mailbox<T>(capacity: usize) -> io::Result<(Posts<T>, Mailbox<T>)> {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue { items: Vec::new(), closed: false }),
        room: Condvar::new(),
        capacity,
        wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
    });
    Ok((Posts(Arc::clone(&shared)), Mailbox(shared)))
}

impl<T> Posts<T> {
    /// Appends an item, when there is room.
    pub(crate) fn send(&self, item: T) {
        self.append(self.wait_for_room(), std::iter::once(item));
    }

    /// Appends all items at once, when there is room for one.
    pub(crate) fn send_all(&self, items: &mut Vec<T>) {
        self.append(self.wait_for_room(), items.drain(..));
    }

    /// Appends an item, room or not.
    pub(crate) fn post(&self, item: T) {
        self.append(self.0.lock(), std::iter::once(item));
    }

    fn wait_for_room(&self) -> MutexGuard<'_, Queue<T>> {
        let full = |queue: &mut Queue<T>| !queue.closed && queue.items.len() >= self.0.capacity;
        self.0.room.wait_while(self.0.lock(), full).unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, mut queue: MutexGuard<'_, Queue<T>>, items: impl Iterator<Item = T>) {
        if queue.closed {
            return;
        }
        let was_empty = queue.items.is_empty();
        queue.items.extend(items);
        let wake = was_empty && !queue.items.is_empty();
        drop(queue);
        if wake {
            // Fails only if the receiver has been woken 2^64 - 2 times and not looked.
            let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
        }
    }
}

impl<T> Clone for Posts<T> {
    fn clone(&self) -> Self {
        Posts(Arc::clone(&self.0))
    }
}

impl<T> Mailbox<T> {
    /// Waits for an item, at most as long as `timeout`, then moves all items to `into`.
    pub(crate) fn wait(&self, timeout: Option<Duration>, into: &mut Vec<T>) {
        if poll(&mut [PollFd::new(self, PollFlags::IN)], timeout) > 0 {
            self.take(into);
        }
    }

    /// Moves all items to `into`, in the order in which they came.
    pub(crate) fn take(&self, into: &mut Vec<T>) {
        // First calm the descriptor, then look: whatever comes after the look wakes it again.
        let _ = rustix::io::read(&self.0.wake, &mut [0; 8]);
        let mut queue = self.0.lock();
        if into.is_empty() {
            std::mem::swap(&mut queue.items, into);
        } else {
            into.append(&mut queue.items);
        }
        drop(queue);
        self.0.room.notify_all();
    }
}

/// Readable when there may be items to take.
impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        let items = std::mem::take(&mut queue.items);
        drop(queue);
        drop(items);
        self.0.room.notify_all();
    }
}

impl<T> Shared<T> {
    /// A panic of another thread leaves the queue as it was: nothing here panics halfway.
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until one of `fds` is ready, at most as long as `timeout`; how many are. An interruption by a signal
/// counts as none.
pub(crate) fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> usize {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    rustix::event::poll(fds, timeout.as_ref()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn what_is_sent_arrives_once_and_in_order_and_never_more_of_it_at_once_than_there_is_room_for() {
        let (posts, mailbox) = mailbox(3).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|n| {
                let posts = posts.clone();
                thread::spawn(move || (0..1_000).for_each(|i| posts.send(n * 1_000 + i)))
            })
            .collect();
        let mut items = Vec::new();
        while items.len() < 4_000 {
            let mut some = Vec::new();
            mailbox.wait(LONG, &mut some);
            assert!(some.len() <= 3);
            items.append(&mut some);
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        for n in 0..4 {
            let of_one: Vec<_> = items.iter().copied().filter(|item| item / 1_000 == n).collect();
            assert_eq!(of_one, (n * 1_000..(n + 1) * 1_000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn posting_never_waits_for_room() {
        let (posts, mailbox) = mailbox(1).unwrap();
        posts.send(1);
        posts.post(2);
        posts.post(3);
        let mut items = Vec::new();
        mailbox.wait(LONG, &mut items);
        assert_eq!(items, [1, 2, 3]);
    }

    #[test]
    fn a_sender_that_waits_is_released_when_the_receiver_goes() {
        let (posts, mailbox) = mailbox(1).unwrap();
        posts.send(1);
        let waiting = {
            let posts = posts.clone();
            thread::spawn(move || posts.send(2))
        };
        drop(mailbox);
        waiting.join().unwrap();
        posts.post(3);
        assert!(posts.0.lock().items.is_empty());
    }

    #[test]
    fn waiting_ends_at_the_timeout() {
        let (_posts, mailbox) = mailbox::<u32>(1).unwrap();
        let mut items = Vec::new();
        mailbox.wait(Some(Duration::from_nanos(1)), &mut items);
        mailbox.wait(Some(Duration::ZERO), &mut items);
        assert!(items.is_empty());
    }
}
