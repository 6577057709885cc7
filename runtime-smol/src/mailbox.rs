//! Queues between tasks, from many senders to one receiver.
//!
//! [`Posts::send`] waits while the queue is full: back-pressure for what comes from outside, so that a flood
//! ends in the sockets' buffers and at the other end, not in memory. [`Posts::post`] never waits: for answers
//! and commands, whose number the receiver itself bounds, so that two tasks can never wait for each other.

use futures_lite::future;

/// The sending side; may be cloned.
#[derive(Debug)]
pub(crate) struct Posts<T> {
    bounded: async_channel::Sender<T>,
    unbounded: async_channel::Sender<T>,
}

/// The receiving side. When it is dropped, whatever is sent is dropped too.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    bounded: async_channel::Receiver<T>,
    unbounded: async_channel::Receiver<T>,
    /// Both queues are served in turn, so that neither can starve the other.
    bounded_first: bool,
}

/// A mailbox in which `send` waits while it has `capacity` items.
pub(crate) fn mailbox<T>(capacity: usize) -> (Posts<T>, Mailbox<T>) {
    let (bounded, bounded_end) = async_channel::bounded(capacity);
    let (unbounded, unbounded_end) = async_channel::unbounded();
    let receiver = Mailbox { bounded: bounded_end, unbounded: unbounded_end, bounded_first: false };
    (Posts { bounded, unbounded }, receiver)
}

impl<T> Clone for Posts<T> {
    fn clone(&self) -> Self {
        Posts { bounded: self.bounded.clone(), unbounded: self.unbounded.clone() }
    }
}

impl<T> Posts<T> {
    /// Appends an item, when there is room; false if nobody will ever take it.
    pub(crate) async fn send(&self, item: T) -> bool {
        self.bounded.send(item).await.is_ok()
    }

    /// Appends an item, room or not.
    pub(crate) fn post(&self, item: T) {
        // Fails only if nobody will ever take it.
        drop(self.unbounded.try_send(item));
    }
}

impl<T> Mailbox<T> {
    /// The next item, if one is there.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        self.bounded_first = !self.bounded_first;
        let (first, second) = match self.bounded_first {
            true => (&self.bounded, &self.unbounded),
            false => (&self.unbounded, &self.bounded),
        };
        first.try_recv().or_else(|_| second.try_recv()).ok()
    }

    /// Waits for the next item; `None` when there will be none. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Option<T> {
        match self.try_next() {
            Some(item) => Some(item),
            None => future::or(self.unbounded.recv(), self.bounded.recv()).await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_wait_for_room_posters_do_not_and_neither_starves_the_other() {
        let (sender, mut receiver) = mailbox(2);
        future::block_on(async {
            assert!(sender.send(1).await && sender.send(2).await);
            assert_eq!(future::poll_once(sender.send(3)).await, None);
            for item in 10..20 {
                sender.post(item);
            }
            let mut order = Vec::new();
            for _ in 0..4 {
                order.extend(receiver.next().await);
            }
            assert_eq!(order, [1, 10, 2, 11]);
            drop(receiver);
            assert!(!sender.send(3).await);
        });
    }
}
