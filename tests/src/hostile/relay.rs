//! A modified client: a real one whose messages go through a relay that alters them before they are sealed for the
//! server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use serde::de::DeserializeOwned;
use toom_core::link::{Arrived, Identity, Input, Link};
use toom_core::secure::{PublicKey, SecretKey, Suite};
use toom_core::time::Instant;
use toom_core::wire::codec::{self, LENGTH_BYTES};
use toom_core::wire::message::{Request, RequestBody, ServerMessage};

use super::stranger::{connect, frame, loopback};

/// What the real client calls its file, what is said instead, and how often it was.
#[derive(Clone, Debug, Default)]
pub(super) struct Label(Arc<(Mutex<String>, AtomicU64)>);

impl Label {
    /// From now on files are called so. The real client's must have the harmless form of it as its name: what is moved
    /// must be what both ends have agreed on.
    pub(super) fn set(&self, label: &str) {
        label.clone_into(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How often a label was altered.
    pub(super) fn altered(&self) -> u64 {
        self.0.1.load(Relaxed)
    }

    /// The frame of a request, with the label instead of its harmless form.
    fn alter(&self, request: &Request) -> Vec<u8> {
        let encoded = codec::encode(request).to_vec();
        let RequestBody::Offer { label: harmless, .. } = &request.body else { return encoded };
        let harmless = text(harmless.as_str());
        let Some(at) = encoded.windows(harmless.len()).position(|it| it == harmless) else { return encoded };
        let label = text(&self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.fetch_add(1, Relaxed);
        frame(&[&encoded[LENGTH_BYTES..at], &label, &encoded[at + harmless.len()..]].concat())
    }
}

/// A string in MessagePack, as our codec writes it.
fn text(text: &str) -> Vec<u8> {
    codec::encode(&text)[LENGTH_BYTES..].to_vec()
}

/// Starts a relay to a server, for one client, whose device key is in the file `device`; where it listens.
pub(super) fn start(server: SocketAddr, key: PublicKey, label: Label, device: PathBuf) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        // The client connects twice: first it learns the key.
        for client in listener.incoming().map_while(Result::ok) {
            let (label, device) = (label.clone(), device.clone());
            thread::spawn(move || {
                // Ends with either connection.
                let _ = device_key(&device).and_then(|device| relay(client, (server, key), &label, device));
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

/// The client has made it before it connects.
fn device_key(file: &Path) -> io::Result<SecretKey> {
    toom_store::key_file::load_or_create(file).map_err(io::Error::other)
}

fn relay(
    client: TcpStream,
    (server, key): (SocketAddr, PublicKey),
    label: &Label,
    device: SecretKey,
) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let seed = |kind: u8| {
        let mut seed = [kind; 32];
        seed[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
        seed
    };
    let identity = Arc::new(Identity { secret: device, best: Suite::AesGcm });
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
                towards.push(&label.alter(&request))?;
            }
        }
        if ready[1] {
            for message in towards.read()? {
                from.push(&codec::encode(&message))?;
            }
        }
    }
}
