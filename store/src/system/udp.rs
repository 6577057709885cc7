//! The UDP socket: many datagrams with each system call, both ways, where the kernel can do that (GSO, GRO).

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use toom_core::address::{canonical, mapped};
use toom_core::wire::ecn::Ecn;

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

/// How datagrams are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where to.
    pub to: SocketAddr,
    /// The size of each; the last one may be shorter.
    pub segment_size: usize,
    /// Whether the network may mark them (ECT(0), RFC 3168).
    pub ecn_capable: bool,
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

    /// Sends as much as one call takes of datagrams: what is left, or `None` if the kernel has no room now. What it
    /// refuses is lost, as on any path.
    pub fn send<'a>(&self, way: Way, datagrams: &'a [u8]) -> Option<&'a [u8]> {
        let Way { to, segment_size, ecn_capable } = way;
        let destination = if self.is_ipv4 { to } else { mapped(to) };
        let segment_size = segment_size.max(1);
        loop {
            // Asked each time: it falls to 1 when the network interface turns out not to be able to.
            let segments = self.state.max_gso_segments().min(MAX_SEND_BYTES / segment_size).max(1);
            let (contents, rest) = datagrams.split_at(datagrams.len().min(segments * segment_size));
            let ecn = ecn_capable.then_some(EcnCodepoint::Ect0);
            let transmit = Transmit { destination, ecn, contents, segment_size: Some(segment_size), src_ip: None };
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
    /// The datagrams in the order of their arrival, each with its source and what the network wrote on it.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, Ecn, &mut [u8])> {
        let filled = self.buffers.iter_mut().zip(&self.meta).take(self.filled);
        filled.flat_map(|(buffer, meta)| {
            let (from, ecn) = (canonical(meta.addr), written(meta.ecn));
            buffer[..meta.len].chunks_mut(meta.stride.max(1)).map(move |datagram| (from, ecn, datagram))
        })
    }
}

impl Default for Received {
    fn default() -> Received {
        let buffers = std::array::from_fn(|_| vec![0; BUFFER_BYTES]);
        Received { buffers, meta: [RecvMeta::default(); BUFFERS], filled: 0 }
    }
}

/// What the kernel says was written on a packet.
fn written(ecn: Option<EcnCodepoint>) -> Ecn {
    match ecn {
        None => Ecn::NotCapable,
        Some(EcnCodepoint::Ect0) => Ecn::Ect0,
        Some(EcnCodepoint::Ect1) => Ecn::Ect1,
        Some(EcnCodepoint::Ce) => Ecn::Congestion,
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
            all.extend(received.datagrams().map(|(from, _, datagram)| (from, datagram.to_vec())));
        }
        all
    }

    fn way(to: SocketAddr, segment_size: usize, ecn_capable: bool) -> Way {
        Way { to, segment_size, ecn_capable }
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
            rest = sender.send(way(at_loopback(&receiver), 1_200, true), rest).expect("there is room");
        }
        assert_eq!(sender.system_calls().total(), 2, "65,507 bytes hold 54 of them");
        for (n, (source, datagram)) in (0u8..).zip(receive(&receiver, 64)) {
            assert_eq!(source, at_loopback(&sender));
            assert_eq!(datagram, vec![n; if n == 63 { 17 } else { 1_200 }]);
        }
    }

    #[test]
    fn what_is_written_on_packets_is_read_at_the_other_end() {
        for (bind, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::]:0", "[::1]")] {
            let (Ok(sender), Ok(receiver)) = (Socket::bind(local(bind)), Socket::bind(local(bind))) else { continue };
            let to = local(&format!("{to}:{}", receiver.port().expect("bound")));
            let mut received = Received::default();
            for (capable, expected) in [(true, Ecn::Ect0), (false, Ecn::NotCapable)] {
                assert_eq!(sender.send(way(to, 1_200, capable), b"hello"), Some(&[][..]));
                let timeout = Timespec { tv_sec: 60, tv_nsec: 0 };
                let ready = poll(&mut [PollFd::new(&receiver, PollFlags::IN)], Some(&timeout)).expect("waits");
                assert!(ready > 0, "nothing arrived at {to}");
                receiver.receive(&mut received).expect("received");
                let all: Vec<_> = received.datagrams().map(|(_, ecn, _)| ecn).collect();
                assert_eq!(all, [expected], "{bind} {to}");
            }
        }
    }

    #[test]
    fn a_socket_for_every_address_of_ipv6_reaches_ipv4_where_the_system_can() {
        let Ok(both) = Socket::bind(local("[::]:0")) else { return };
        let receiver = Socket::bind(local("127.0.0.1:0")).expect("bound");
        assert_eq!(both.send(way(at_loopback(&receiver), 1_200, false), b"hello"), Some(&[][..]));
        assert_eq!(receive(&receiver, 1), [(at_loopback(&both), b"hello".to_vec())]);
    }

    #[test]
    fn what_cannot_be_sent_is_given_up_and_counted() {
        let socket = Socket::bind(local("127.0.0.1:0")).expect("bound");
        assert_eq!(socket.send(way(local("127.0.0.1:9"), 70_000, false), &[0; 70_000]), Some(&[][..]));
        assert_eq!(socket.refused(), 1);
    }
}
