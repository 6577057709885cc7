//! How our TCP connections are made, at both ends.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::in_words;

/// Connections that the kernel completes before we accept them: a few hundred may arrive at once.
const BACKLOG: i32 = 1_024;

/// How long to try each address of a server.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// When to ask the other end of a silent connection whether it is still there, how often and for how long:
/// its computer may have gone without a word.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 6;

/// Listens at `address`; the address with the real port. Accepting does not wait. The error is one clear sentence.
pub fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    try_to_listen(address).map_err(|error| format!("cannot listen on {address}: {}", in_words(&error)))
}

/// Connects to `server`, which is `HOST:PORT`; the address at which it was reached. Waits up to some seconds for
/// each of its addresses. The error is one clear sentence.
pub fn connect(server: &str) -> Result<(TcpStream, SocketAddr), String> {
    try_to_connect(server).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::ConnectionRefused => "nothing accepts connections there".to_owned(),
            ErrorKind::TimedOut => format!("it does not answer within {} seconds", CONNECT_DEADLINE.as_secs()),
            ErrorKind::InvalidInput => "it must be given as HOST:PORT".to_owned(),
            _ => in_words(&error),
        };
        format!("the server at {server} cannot be reached: {why}")
    })
}

/// Prepares a connection for small messages that must not wait, and for long silence.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Otherwise a message would wait for the acknowledgement of the one before it.
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))
}

fn try_to_listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that restarts need not wait for the connections of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Tries the addresses of `server` one after the other; the error of the last one if none answers.
fn try_to_connect(server: &str) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in server.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_DEADLINE) {
            Ok(stream) => {
                prepare(&stream)?;
                return Ok((stream, address));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> SocketAddr {
        "127.0.0.1:0".parse().expect("an address")
    }

    #[test]
    fn a_connection_is_prepared_and_knows_where_it_went() {
        let (_listener, address) = listen(local()).expect("listens");
        let (stream, reached) = connect(&address.to_string()).expect("connects");
        assert_eq!(reached, address);
        assert!(stream.nodelay().expect("an option") && SockRef::from(&stream).keepalive().expect("an option"));
        assert_eq!(SockRef::from(&stream).tcp_keepalive_time().expect("an option"), KEEPALIVE_IDLE);
    }

    #[test]
    fn failures_are_said_in_one_sentence() {
        let (listener, address) = listen(local()).expect("listens");
        assert_eq!(listen(address).expect_err("taken"), format!("cannot listen on {address}: address already in use"));
        drop(listener);
        let nobody = format!("the server at {address} cannot be reached: nothing accepts connections there");
        assert_eq!(connect(&address.to_string()).expect_err("nobody there"), nobody);
        let no_port = "the server at nowhere cannot be reached: it must be given as HOST:PORT";
        assert_eq!(connect("nowhere").expect_err("no port"), no_port);
    }
}
