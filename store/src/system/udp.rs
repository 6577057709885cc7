//! The UDP socket: many datagrams with each system call, both ways, where the kernel can do that (GSO, GRO).

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use toom_core::address::{canonical, mapped};

use super::{SystemCalls, in_words};

/// What the kernel is asked to hold in each direction, for the times at which the driver is not running.
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Buffers for one receiving system call. Each may be filled with many datagrams of one sender.
const BUFFERS: usize = 8;

/// The most that the kernel coalesces into one buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// The most that one sending system call takes: what a UDP datagram over IPv4 can hold.
const MAX_SEND_BYTES: usize = 65_507;

/// A bound socket that never waits.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    is_ipv4: bool,
    refused: AtomicU64,
    calls: SystemCalls,
}

/// What arrived with one call.
#[derive(Debug)]
pub struct Received {
    buffers: [Vec<u8>; BUFFERS],
    meta: [RecvMeta; BUFFERS],
    filled: usize,
}

impl Socket {
    /// Binds `address`; every address of IPv6 is every address of IPv4 too, where the system can do that.
    pub fn bind(address: SocketAddr) -> io::Result<Socket> {
        let socket = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // So that peers can be reached by IPv4 too; where that is not possible, by IPv6 alone.
            let _ = socket.set_only_v6(false);
        }
        socket.bind(&address.into())?;
        // The system may give less.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(KERNEL_BUFFER_BYTES);
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Socket {
            socket,
            state,
            is_ipv4: address.is_ipv4(),
            refused: AtomicU64::new(0),
            calls: SystemCalls::default(),
        })
    }

    /// The port really bound.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Bursts, or parts of them, that the kernel refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Receiving and sending system calls.
    pub fn system_calls(&self) -> &SystemCalls {
        &self.calls
    }

    /// Takes what has arrived; whether there may be more.
    pub fn receive(&self, received: &mut Received) -> io::Result<bool> {
        let mut slices = received.buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        received.filled = 0;
        self.calls.count();
        match self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut received.meta) {
            Ok(filled) => received.filled = filled,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(received.filled == BUFFERS)
    }

    /// Sends as much as one call takes of datagrams of `segment_size`, the last of which may be shorter: what is
    /// left, or `None` if the kernel has no room now. What it refuses is lost, as on any path.
    pub fn send<'a>(&self, to: SocketAddr, datagrams: &'a [u8], segment_size: usize) -> Option<&'a [u8]> {
        let destination = if self.is_ipv4 { to } else { mapped(to) };
        let segment_size = segment_size.max(1);
        loop {
            // Asked each time: it falls to 1 when the network interface turns out not to be able to.
            let segments = self.state.max_gso_segments().min(MAX_SEND_BYTES / segment_size).max(1);
            let (contents, rest) = datagrams.split_at(datagrams.len().min(segments * segment_size));
            let transmit =
                Transmit { destination, ecn: None, contents, segment_size: Some(segment_size), src_ip: None };
            self.calls.count();
            match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Ok(()) => return Some(rest),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) if segments > 1 && self.state.max_gso_segments() == 1 => {}
                Err(error) => {
                    self.count_refused(to, &in_words(&error));
                    return Some(rest);
                }
            }
        }
    }

    /// Counts a burst, or a part of one, that was given up.
    pub fn count_refused(&self, to: SocketAddr, why: &str) {
        let refused = self.refused.fetch_add(1, Relaxed) + 1;
        tracing::debug!(%to, refused, "cannot send a datagram: {why}");
    }
}

/// Readable when datagrams have arrived, writable when the kernel has room.
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Received {
    /// The datagrams in the order of their arrival, each with its source.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        let filled = self.buffers.iter_mut().zip(&self.meta).take(self.filled);
        filled.flat_map(|(buffer, meta)| {
            let from = canonical(meta.addr);
            buffer[..meta.len].chunks_mut(meta.stride.max(1)).map(move |datagram| (from, datagram))
        })
    }
}

impl Default for Received {
    fn default() -> Received {
        let buffers = std::array::from_fn(|_| vec![0; BUFFER_BYTES]);
        Received { buffers, meta: [RecvMeta::default(); BUFFERS], filled: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    /// All datagrams that arrive until there are `count`.
    fn receive(socket: &Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let (mut received, mut all) = (Received::default(), Vec::new());
        while all.len() < count {
            let timeout = Timespec { tv_sec: 60, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)).expect("waits");
            assert!(ready > 0, "{} of {count} datagrams arrived", all.len());
            socket.receive(&mut received).expect("received");
            all.extend(received.datagrams().map(|(from, datagram)| (from, datagram.to_vec())));
        }
        all
    }

    fn local(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn at_loopback(socket: &Socket) -> SocketAddr {
        local(&format!("127.0.0.1:{}", socket.port().expect("bound")))
    }

    #[test]
    fn a_burst_arrives_as_the_datagrams_it_was_made_of_also_when_it_is_larger_than_one_call_takes() {
        let sender = Socket::bind(local("127.0.0.1:0")).expect("bound");
        let receiver = Socket::bind(local("127.0.0.1:0")).expect("bound");
        let mut burst: Vec<u8> = (0..63u8).flat_map(|n| vec![n; 1_200]).collect();
        burst.extend_from_slice(&[63; 17]);
        let mut rest = &burst[..];
        while !rest.is_empty() {
            rest = sender.send(at_loopback(&receiver), rest, 1_200).expect("there is room");
        }
        assert_eq!(sender.system_calls().total(), 2, "65,507 bytes hold 54 of them");
        for (n, (source, datagram)) in (0u8..).zip(receive(&receiver, 64)) {
            assert_eq!(source, at_loopback(&sender));
            assert_eq!(datagram, vec![n; if n == 63 { 17 } else { 1_200 }]);
        }
    }

    #[test]
    fn a_socket_for_every_address_of_ipv6_reaches_ipv4_where_the_system_can() {
        let Ok(both) = Socket::bind(local("[::]:0")) else { return };
        let receiver = Socket::bind(local("127.0.0.1:0")).expect("bound");
        assert_eq!(both.send(at_loopback(&receiver), b"hello", 1_200), Some(&[][..]));
        assert_eq!(receive(&receiver, 1), [(at_loopback(&both), b"hello".to_vec())]);
    }

    #[test]
    fn what_cannot_be_sent_is_given_up_and_counted() {
        let socket = Socket::bind(local("127.0.0.1:0")).expect("bound");
        assert_eq!(socket.send(local("127.0.0.1:9"), &[0; 70_000], 70_000), Some(&[][..]));
        assert_eq!(socket.refused(), 1);
    }
}
