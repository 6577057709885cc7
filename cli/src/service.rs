//! What a service manager is told: ready, reloading, stopping. The protocol of `sd_notify(3)`: one datagram with lines
//! of `NAME=value` to the socket that `NOTIFY_SOCKET` names.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;

/// Who is told; nobody, if no service manager started us.
pub(crate) struct Manager(Option<UnixDatagram>);

impl Manager {
    /// The one that the environment names. One that cannot be reached is said to the log, and left alone.
    pub(crate) fn from_environment() -> Manager {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return Manager(None) };
        let connected = connect(&address);
        if let Err(error) = &connected {
            tracing::warn!("the service manager cannot be told that the server is ready: {error}");
        }
        Manager(connected.ok())
    }

    /// Connections are accepted.
    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=Accepting connections.");
    }

    /// The configuration is read again; [`Manager::ready`] follows.
    pub(crate) fn reloading(&self) {
        self.tell("STATUS=Reading the configuration again.");
    }

    /// What is queued is committed, then the process ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::debug!("the service manager was not told: {error}");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
        }
        _ => socket.connect(address)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_each_state_as_one_datagram() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        let manager = Manager(Some(connect(path.as_os_str()).expect("connected")));
        manager.ready();
        manager.stopping();
        let mut datagram = [0; 64];
        for expected in ["READY=1\nSTATUS=Accepting connections.", "STOPPING=1"] {
            let length = socket.recv(&mut datagram).expect("received");
            assert_eq!(&datagram[..length], expected.as_bytes());
        }
        drop(socket);
        manager.ready();
        assert!(connect(OsStr::new("/nowhere/at/all")).is_err());
    }
}
