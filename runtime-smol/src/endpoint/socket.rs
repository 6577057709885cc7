//! Waiting for room in the UDP socket; all else is `toom_store::system::udp`.

use std::time::Duration;

use futures_lite::future;
use smol::{Async, Timer};
use toom_store::system::udp::{Socket, Way};

/// How long to wait for room in the kernel's buffer before a burst is given up as lost.
const SEND_DEADLINE: Duration = Duration::from_millis(100);

/// Sends datagrams. What the kernel does not take is lost, as on any path.
pub(super) async fn send(socket: &Async<Socket>, way: Way, datagrams: &[u8]) {
    let mut rest = datagrams;
    while !rest.is_empty() {
        match socket.get_ref().send(way, rest) {
            Some(left) => rest = left,
            None if has_room(socket).await => {}
            None => return socket.get_ref().count_refused(way.to, "the kernel has no room"),
        }
    }
}

async fn has_room(socket: &Async<Socket>) -> bool {
    let room = async { socket.writable().await.is_ok() };
    let late = async {
        Timer::after(SEND_DEADLINE).await;
        false
    };
    future::or(room, late).await
}
