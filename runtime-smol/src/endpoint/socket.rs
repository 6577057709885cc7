//! The UDP socket, with segmentation offload in both directions: one call moves up to 64 datagrams.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use smol::Async;
use toom_core::transfer::io::Burst;

/// Buffers filled with one call.
const BUFFERS: usize = 16;
/// What one buffer holds: the most that the kernel coalesces.
const BUFFER_BYTES: usize = 64 * 1024;
/// What is asked of the kernel for each direction: some milliseconds at full speed.
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// What one call can send: an IP packet's 65,535 bytes less the largest headers.
const MAX_SEND_BYTES: usize = 65_535 - 48;

/// A socket and the buffers it receives into.
#[derive(Debug)]
pub(super) struct Socket {
    io: Async<UdpSocket>,
    state: UdpSocketState,
    buffers: [Vec<u8>; BUFFERS],
    filled: [RecvMeta; BUFFERS],
}

/// One buffer with what has arrived; to be given back.
#[derive(Debug)]
pub(super) struct Received {
    place: usize,
    pub(super) from: SocketAddr,
    buffer: Vec<u8>,
    length: usize,
    stride: usize,
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        let io = Async::<UdpSocket>::bind(address)?;
        let state = UdpSocketState::new(UdpSockRef::from(io.get_ref()))?;
        // The kernel may give less: then it drops earlier, and the machine slows down.
        drop(state.set_recv_buffer_size(UdpSockRef::from(io.get_ref()), KERNEL_BUFFER_BYTES));
        drop(state.set_send_buffer_size(UdpSockRef::from(io.get_ref()), KERNEL_BUFFER_BYTES));
        let buffers = std::array::from_fn(|_| vec![0; BUFFER_BYTES]);
        Ok(Socket { io, state, buffers, filled: [RecvMeta::default(); BUFFERS] })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.io.get_ref().local_addr()?.port())
    }

    /// Ends when there may be something to receive.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Receives what is there, at once: how many buffers it filled.
    pub(super) fn receive(&mut self) -> io::Result<usize> {
        let mut slices = self.buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        match self.state.recv(UdpSockRef::from(self.io.get_ref()), &mut slices, &mut self.filled) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            received => received,
        }
    }

    /// Takes a filled buffer out.
    pub(super) fn take(&mut self, place: usize) -> Received {
        let RecvMeta { addr, len, stride, .. } = self.filled[place];
        Received {
            place,
            from: addr,
            buffer: std::mem::take(&mut self.buffers[place]),
            length: len.min(BUFFER_BYTES),
            stride: stride.max(1),
        }
    }

    /// Gives a buffer back.
    pub(super) fn put_back(&mut self, received: Received) {
        self.buffers[received.place] = received.buffer;
    }

    /// Sends a burst whose packets are in `bytes`, one after the other; waits while the socket takes no more.
    pub(super) async fn send(&self, burst: &Burst, bytes: &[u8]) -> io::Result<()> {
        let fitting = MAX_SEND_BYTES / burst.segment_size.max(1);
        let mut rest = bytes;
        let mut outcome = Ok(());
        while !rest.is_empty() {
            // Asked each time: it becomes 1 when the network card turns out not to do segmentation.
            let segments = fitting.min(self.state.max_gso_segments()).max(1);
            let (now, later) = rest.split_at(rest.len().min(segments * burst.segment_size.max(1)));
            // One that cannot be sent is as good as lost; the others may still get through.
            outcome = self.send_segments(burst, now).await.and(outcome);
            rest = later;
        }
        outcome
    }

    async fn send_segments(&self, burst: &Burst, contents: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: burst.to,
            ecn: None,
            contents,
            segment_size: Some(burst.segment_size),
            src_ip: None,
        };
        loop {
            match self.state.try_send(UdpSockRef::from(self.io.get_ref()), &transmit) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.io.writable().await?,
                sent => return sent,
            }
        }
    }
}

impl Received {
    /// The datagrams in the buffer.
    pub(super) fn datagrams(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.buffer[..self.length].chunks_mut(self.stride)
    }
}
