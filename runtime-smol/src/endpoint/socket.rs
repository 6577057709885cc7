//! The UDP socket: many datagrams with each system call, both ways, where the kernel can do that (GSO, GRO).

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures_lite::future;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use smol::{Async, Timer};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::in_words;

/// What the kernel is asked to hold in each direction, for the times at which this thread is not running.
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Buffers for one receiving system call. Each may be filled with many datagrams of one sender.
const BUFFERS: usize = 8;

/// The most that the kernel coalesces into one buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// The most that one sending system call takes: what a UDP datagram over IPv4 can hold.
const MAX_SEND_BYTES: usize = 65_507;

/// How long to wait for room in the kernel's buffer before a burst is given up as lost.
const SEND_DEADLINE: Duration = Duration::from_millis(100);

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: Async<UdpSocket>,
    state: UdpSocketState,
    is_ipv4: bool,
    /// Bursts, or parts of them, that the kernel refused.
    refused: u64,
}

/// What arrived with one call.
#[derive(Debug, Default)]
pub(super) struct Received {
    buffers: Vec<Vec<u8>>,
    meta: [RecvMeta; BUFFERS],
    filled: usize,
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
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
        Ok(Socket { socket: Async::new(socket)?, state, is_ipv4: address.is_ipv4(), refused: 0 })
    }

    /// The port really bound.
    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.get_ref().local_addr()?.port())
    }

    /// Ends when something may have arrived.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes what has arrived, without waiting.
    pub(super) fn receive(&self, received: &mut Received) -> io::Result<()> {
        let mut slices: Vec<_> = received.buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        received.filled = 0;
        match self.state.recv(UdpSockRef::from(self.socket.get_ref()), &mut slices, &mut received.meta) {
            Ok(filled) => received.filled = filled,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends datagrams of `segment_size`, the last of which may be shorter. What the kernel does not take is
    /// lost, as on any path.
    pub(super) async fn send(&mut self, to: SocketAddr, datagrams: &[u8], segment_size: usize) {
        let destination = self.in_our_family(to);
        let mut rest = datagrams;
        while !rest.is_empty() {
            // Asked each time: it falls to 1 when the network interface turns out not to be able to.
            let segments = self.state.max_gso_segments().min(MAX_SEND_BYTES / segment_size.max(1)).max(1);
            let (contents, after) = rest.split_at(rest.len().min(segments * segment_size.max(1)));
            let transmit =
                Transmit { destination, ecn: None, contents, segment_size: Some(segment_size), src_ip: None };
            match self.state.try_send(UdpSockRef::from(self.socket.get_ref()), &transmit) {
                Ok(()) => rest = after,
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.wait_for_room().await => {}
                Err(_) if segments > 1 && self.state.max_gso_segments() == 1 => {}
                Err(error) => {
                    self.refused += 1;
                    tracing::debug!(%to, refused = self.refused, "cannot send a datagram: {}", in_words(&error));
                    rest = after;
                }
            }
        }
    }

    async fn wait_for_room(&self) -> bool {
        let room = async { self.socket.writable().await.is_ok() };
        let late = async {
            Timer::after(SEND_DEADLINE).await;
            false
        };
        future::or(room, late).await
    }

    /// An IPv6 socket reaches IPv4 addresses as mapped ones.
    fn in_our_family(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if !self.is_ipv4 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }
}

impl Received {
    pub(super) fn new() -> Received {
        let buffers = (0..BUFFERS).map(|_| vec![0; BUFFER_BYTES]).collect();
        Received { buffers, meta: [RecvMeta::default(); BUFFERS], filled: 0 }
    }

    /// The datagrams in the order of their arrival, each with its source.
    pub(super) fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        let filled = self.buffers.iter_mut().zip(&self.meta).take(self.filled);
        filled.flat_map(|(buffer, meta)| {
            let from = canonical(meta.addr);
            buffer[..meta.len].chunks_mut(meta.stride.max(1)).map(move |datagram| (from, datagram))
        })
    }
}

/// `address` as IPv4 if it is one, whatever the socket makes of it.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        // With its scope, without which a link-local address is not reached.
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All datagrams that arrive until there are `count`.
    async fn receive(socket: &Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let (mut received, mut all) = (Received::new(), Vec::new());
        while all.len() < count {
            let late = async {
                Timer::after(Duration::from_secs(60)).await;
                Err(ErrorKind::TimedOut.into())
            };
            future::or(socket.readable(), late).await.unwrap();
            socket.receive(&mut received).unwrap();
            all.extend(received.datagrams().map(|(from, datagram)| (from, datagram.to_vec())));
        }
        all
    }

    fn local(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_arrives_as_the_datagrams_it_was_made_of_also_when_it_is_larger_than_one_call_takes() {
        let mut sender = Socket::bind(local("127.0.0.1:0")).unwrap();
        let receiver = Socket::bind(local("127.0.0.1:0")).unwrap();
        let to = local(&format!("127.0.0.1:{}", receiver.port().unwrap()));
        let mut burst: Vec<u8> = (0..63u8).flat_map(|n| vec![n; 1_200]).collect();
        burst.extend_from_slice(&[63; 17]);
        let from = local(&format!("127.0.0.1:{}", sender.port().unwrap()));
        let arrived = smol::block_on(async {
            sender.send(to, &burst, 1_200).await;
            receive(&receiver, 64).await
        });
        for (n, (source, datagram)) in (0u8..).zip(arrived) {
            assert_eq!(source, from);
            assert_eq!(datagram, vec![n; if n == 63 { 17 } else { 1_200 }]);
        }
    }

    #[test]
    fn a_socket_for_every_address_of_ipv6_reaches_ipv4_where_the_system_can() {
        let Ok(mut both) = Socket::bind(local("[::]:0")) else { return };
        let receiver = Socket::bind(local("127.0.0.1:0")).unwrap();
        let to = local(&format!("127.0.0.1:{}", receiver.port().unwrap()));
        let (source, datagram) = smol::block_on(async {
            both.send(to, b"hello", 1_200).await;
            receive(&receiver, 1).await.remove(0)
        });
        assert_eq!((source, &datagram[..]), (local(&format!("127.0.0.1:{}", both.port().unwrap())), &b"hello"[..]));
    }

    #[test]
    fn what_cannot_be_sent_is_given_up() {
        let mut socket = Socket::bind(local("127.0.0.1:0")).unwrap();
        smol::block_on(socket.send(local("127.0.0.1:9"), &[0; 70_000], 70_000));
        assert_eq!(socket.refused, 1);
    }
}
