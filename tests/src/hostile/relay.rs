//! A modified client: a real one whose messages go through a relay that alters them before they are sealed for the
//! server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toom_core::link::{Arrived, Identity, Input, Link};
use toom_core::secure::{PublicKey, SecretKey, Suite};
use toom_core::time::Instant;
use toom_core::wire::codec::{self, LENGTH_BYTES};
use toom_core::wire::message::{Request, ServerMessage};

use super::stranger::{connect, frame, loopback};

/// What the real client calls its file: as long as a string whose length MessagePack writes in one byte of its own.
pub(super) const PLACEHOLDER: &str = "a-placeholder-that-is-longer-than-31-bytes";

/// What takes the placeholder's place, and how often it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Label(Arc<(Mutex<String>, AtomicU64)>);

impl Label {
    /// From now on the file is called so.
    pub(super) fn set(&self, label: &str) {
        label.clone_into(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How often a label was altered.
    pub(super) fn altered(&self) -> u64 {
        self.0.1.load(Relaxed)
    }

    /// The frame with the label instead of the placeholder.
    fn alter(&self, encoded: &[u8]) -> Vec<u8> {
        let Some(at) = encoded.windows(PLACEHOLDER.len()).position(|it| it == PLACEHOLDER.as_bytes()) else {
            return encoded.to_vec();
        };
        let label = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = u16::try_from(label.len()).unwrap_or(0).to_be_bytes();
        // Before it stand the kind of string and its length of one byte; ours has two.
        let (before, after) = (&encoded[LENGTH_BYTES..at - 2], &encoded[at + PLACEHOLDER.len()..]);
        self.0.1.fetch_add(1, Relaxed);
        frame(&[before, &[0xda], &length, label.as_bytes(), after].concat())
    }
}

/// Starts a relay to a server, for one client; where it listens.
pub(super) fn start(server: SocketAddr, key: PublicKey, label: Label) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        // The client connects twice: first it learns the key.
        for client in listener.incoming().map_while(Result::ok) {
            let label = label.clone();
            thread::spawn(move || {
                // Ends with either connection.
                let _ = relay(client, server, key, &label);
            });
        }
    });
    Ok(address)
}

/// One connection, opened and sealed again.
struct End<M> {
    stream: TcpStream,
    link: Link<M>,
}

impl<M: DeserializeOwned> End<M> {
    /// Reads what is there.
    fn read(&mut self) -> io::Result<Vec<M>> {
        let mut buffer = [0; 16_384];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut messages = Vec::new();
        for arrived in self.link.handle(Instant::ZERO, Input::Bytes(&mut buffer[..count])) {
            match arrived {
                Arrived::Established(_) => {}
                Arrived::Message(message) => messages.push(message),
                Arrived::Closed(why) => return Err(io::Error::other(format!("{why:?}"))),
            }
        }
        Ok(messages)
    }

    fn push(&mut self, frame: &[u8]) -> io::Result<()> {
        self.link.outbound.push(frame).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.link.outbound.seal(Instant::ZERO);
        let pending = self.link.outbound.pending().to_vec();
        self.link.outbound.written(pending.len());
        self.stream.write_all(&pending)
    }
}

fn relay(client: TcpStream, server: SocketAddr, key: PublicKey, label: &Label) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let seed = |kind: u8| {
        let mut seed = [kind; 32];
        seed[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
        seed
    };
    let identity = Arc::new(Identity { secret: SecretKey::new([0x77; 32]), best: Suite::AesGcm });
    let stream = connect(server, loopback(1))?;
    let link = Link::client(Instant::ZERO, Arc::clone(&identity), seed(1), Some(key));
    let mut towards: End<ServerMessage> = End { stream, link };
    let link = Link::server(Instant::ZERO, identity, seed(2));
    let mut from: End<Request> = End { stream: client, link };
    loop {
        towards.flush()?;
        from.flush()?;
        let mut fds = [PollFd::new(&from.stream, PollFlags::IN), PollFd::new(&towards.stream, PollFlags::IN)];
        poll(&mut fds, None)?;
        let ready = [!fds[0].revents().is_empty(), !fds[1].revents().is_empty()];
        if ready[0] {
            for request in from.read()? {
                towards.push(&label.alter(&encoded(&request)))?;
            }
        }
        if ready[1] {
            for message in towards.read()? {
                from.push(&encoded(&message))?;
            }
        }
    }
}

fn encoded<T: Serialize>(message: &T) -> Vec<u8> {
    codec::encode(message).to_vec()
}
