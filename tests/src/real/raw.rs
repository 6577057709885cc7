//! A TCP connection whose bytes the scenario writes by hand.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use toom_core::link::{Identity, Link};
use toom_core::secure::{PublicKey, SecretKey, Suite};
use toom_core::time::Instant;

use crate::scenario::sealed::Sealed;

/// A server that says nothing for so long has nothing to say.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connection.
#[derive(Debug)]
pub(super) struct Raw {
    stream: TcpStream,
    /// What has arrived and was not taken.
    pub(super) received: Vec<u8>,
    /// Once it has greeted.
    sealed: Option<Sealed>,
}

impl Raw {
    pub(super) fn connect(server: SocketAddr, from: Option<IpAddr>) -> io::Result<Raw> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.connect(&server.into())?;
        let stream: TcpStream = socket.into();
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Raw { stream, received: Vec::new(), sealed: None })
    }

    /// Does the handshake with the server that has this key: what is written and read from now on are frames.
    pub(super) fn greet(&mut self, server: PublicKey, device: SecretKey) {
        let identity = Arc::new(Identity { secret: device, best: Suite::AesGcm });
        self.sealed = Some(Sealed::new(Link::client(Instant::ZERO, identity, [0x5d; 32], Some(server))));
        self.write(&[]);
        while self.sealed.as_ref().is_some_and(|sealed| !sealed.is_established()) && self.fetch() {}
    }

    /// Writes; the server may have closed the connection.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match &mut self.sealed {
            Some(sealed) => {
                // No more at once than an outbox holds.
                for piece in bytes.chunks(1 << 20) {
                    sealed.push(piece);
                    let pending = sealed.take_pending();
                    write_all(&mut self.stream, &pending);
                }
                let pending = sealed.take_pending();
                write_all(&mut self.stream, &pending);
            }
            None => write_all(&mut self.stream, bytes),
        }
    }

    /// Waits until more has arrived; `false` once the server has closed the connection.
    pub(super) fn fetch(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(read) => {
                match &mut self.sealed {
                    Some(sealed) => {
                        self.received.extend(sealed.arrived(piece[..read].to_vec()));
                        self.write(&[]);
                    }
                    None => self.received.extend_from_slice(&piece[..read]),
                }
                read > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("waited in vain for the server");
            }
            Err(_) => false,
        }
    }
}

fn write_all(stream: &mut TcpStream, bytes: &[u8]) {
    match stream.write_all(bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the server neither reads nor closes the connection");
        }
        // Otherwise the server has closed it, which shows when it is read.
        _ => {}
    }
}
