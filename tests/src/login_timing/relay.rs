//! A relay on this computer: it passes on what comes in from one address of 127.0.0.0/8 after the other, so that a
//! server takes one client for many.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use socket2::{Domain, Socket, Type};

/// The first address it comes from.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

/// Relays as long as the process runs; nobody is in its way.
pub(super) struct Relay {
    address: SocketAddr,
    from: Arc<AtomicU32>,
}

impl Relay {
    /// Relays to `server`.
    pub(super) fn start(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let from = Arc::new(AtomicU32::new(FIRST.to_bits()));
        let current = Arc::clone(&from);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let from = SocketAddr::new(Ipv4Addr::from_bits(current.load(Relaxed)).into(), 0);
                let onward = connect(from, server).expect("the server is there");
                pass_on(&stream, &onward);
                pass_on(&onward, &stream);
            }
        });
        Relay { address, from }
    }

    /// Where to connect to it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who connects from now on comes from another address.
    pub(super) fn next_address(&mut self) {
        self.from.fetch_add(1, Relaxed);
    }
}

fn connect(from: SocketAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect(&to.into())?;
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    from.set_nodelay(true).expect("a socket");
    thread::spawn(move || {
        // However it ends, the other direction is to end too.
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
