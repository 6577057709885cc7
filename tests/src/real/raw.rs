//! A TCP connection whose bytes the scenario writes by hand.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

/// A server that says nothing for so long has nothing to say.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connection.
#[derive(Debug)]
pub(super) struct Raw {
    stream: TcpStream,
    /// What has arrived and was not taken.
    pub(super) received: Vec<u8>,
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
        Ok(Raw { stream, received: Vec::new() })
    }

    /// Writes; the server may have closed the connection.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server neither reads nor closes the connection");
            }
            _ => {}
        }
    }

    /// Waits until more has arrived; `false` once the server has closed the connection.
    pub(super) fn fetch(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(read) => {
                self.received.extend_from_slice(&piece[..read]);
                read > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("waited in vain for the server");
            }
            Err(_) => false,
        }
    }
}
