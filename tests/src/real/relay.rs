//! Between one client and the server: what a network does to a connection, on purpose.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, spawn};

/// Where the server is at the moment, if it is anywhere.
pub(super) type Onward = Arc<Mutex<Option<SocketAddr>>>;

/// Passes on what comes, in both directions, until it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Both ends of what it passes on.
    open: Vec<[TcpStream; 2]>,
    /// Whether it lets nobody through.
    shut: bool,
    over: bool,
}

impl Relay {
    /// One that passes on to wherever the server is when somebody connects.
    pub(super) fn start(onward: Onward) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let accepting = spawn(move || {
            for stream in listener.incoming() {
                let mut state = lock(&shared);
                if state.over {
                    return;
                }
                if let (Ok(stream), false) = (stream, state.shut) {
                    // A server that is not there closes the connection.
                    state.open.extend(pass_on(stream, &onward));
                }
            }
        });
        Relay { address, state, accepting: Some(accepting) }
    }

    /// Where to connect to it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks what is open; whoever connects from now on is let through or not.
    pub(super) fn cut(&self, shut: bool) {
        let mut state = lock(&self.state);
        state.shut = shut;
        for end in state.open.drain(..).flatten() {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Lets everyone through again.
    pub(super) fn open(&self) {
        lock(&self.state).shut = false;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut(true);
        lock(&self.state).over = true;
        // Somebody who connects wakes the thread that accepts.
        if TcpStream::connect(self.address).is_ok() {
            self.accepting.take().map(JoinHandle::join);
        }
    }
}

fn pass_on(near: TcpStream, onward: &Onward) -> Option<[TcpStream; 2]> {
    let server = (*lock(onward))?;
    let far = TcpStream::connect(server).ok()?;
    for (from, to) in [(&near, &far), (&far, &near)] {
        from.set_nodelay(true).ok()?;
        let (mut from, mut to) = (from.try_clone().ok()?, to.try_clone().ok()?);
        spawn(move || {
            // However it ends, the other direction is to end too.
            let _ = copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Some([near, far])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
