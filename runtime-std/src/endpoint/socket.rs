//! Waiting for room in the UDP socket; all else is `toom_store::system::udp`.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use toom_store::system::udp::{Socket, Way};

use crate::mailbox::poll;

/// How long to wait for room in the kernel's buffer before a burst is given up as lost.
const SEND_DEADLINE: Duration = Duration::from_millis(100);

/// Sends datagrams. What the kernel does not take is lost, as on any path.
pub(super) fn send(socket: &Socket, way: Way, datagrams: &[u8]) {
    let mut rest = datagrams;
    while !rest.is_empty() {
        match socket.send(way, rest) {
            Some(left) => rest = left,
            None if has_room(socket) => {}
            None => return socket.count_refused(way.to, "the kernel has no room"),
        }
    }
}

fn has_room(socket: &Socket) -> bool {
    poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(SEND_DEADLINE)) > 0
}
