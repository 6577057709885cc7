//! Waiting for room in the UDP socket; all else is `toom_store::system::udp`.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use toom_store::system::udp::Socket;

use crate::mailbox::poll;

/// How long to wait for room in the kernel's buffer before a burst is given up as lost.
const SEND_DEADLINE: Duration = Duration::from_millis(100);

/// Sends datagrams of `segment_size`, the last of which may be shorter. What the kernel does not take is lost, as
/// on any path.
pub(super) fn send(socket: &Socket, to: SocketAddr, datagrams: &[u8], segment_size: usize) {
    let mut rest = datagrams;
    while !rest.is_empty() {
        match socket.send(to, rest, segment_size) {
            Some(left) => rest = left,
            None if has_room(socket) => {}
            None => return socket.count_refused(to, "the kernel has no room"),
        }
    }
}

fn has_room(socket: &Socket) -> bool {
    poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(SEND_DEADLINE)) > 0
}
