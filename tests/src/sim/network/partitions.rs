//! Which hosts do not hear which.

use std::collections::BTreeSet;

use crate::sim::fault::{FaultKind, Host};
use crate::sim::network::Toward;
use crate::sim::stream::Passage;

/// All partitions, each in one direction. A host is known by the number of its first client.
#[derive(Debug, Default)]
pub(super) struct Partitions(BTreeSet<(Host, Host)>);

impl Partitions {
    /// Nothing gets from one host to another any more.
    pub(super) fn add(&mut self, from: Host, to: Host) {
        self.0.insert((from, to));
    }

    /// Everybody hears everybody.
    pub(super) fn mend(&mut self) {
        self.0.clear();
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything gets from one host to another; if not, what kind of fault that is.
    pub(super) fn fault(&self, from: Host, to: Host) -> Option<FaultKind> {
        match (self.0.contains(&(from, to)), self.0.contains(&(to, from))) {
            (false, _) => None,
            (true, false) => Some(FaultKind::OneWayPartition),
            (true, true) => Some(FaultKind::Partition),
        }
    }

    /// What gets through in one direction of a host's connections to the server.
    pub(super) fn passage(&self, host: usize, toward: Toward) -> Passage {
        let (from, to) = ends(host, toward);
        Passage { data: self.fault(from, to).is_none(), acknowledgements: self.fault(to, from).is_none() }
    }

    /// What kind of fault keeps something back in one direction of a host's connections to the server.
    pub(super) fn stream_fault(&self, host: usize, toward: Toward) -> Option<FaultKind> {
        let (from, to) = ends(host, toward);
        self.fault(from, to).or_else(|| self.fault(to, from))
    }
}

/// From where to where.
fn ends(host: usize, toward: Toward) -> (Host, Host) {
    match toward {
        Toward::Server => (Host::Client(host), Host::Server),
        Toward::Client => (Host::Server, Host::Client(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_between_two_hosts_in_its_direction() {
        let [server, zero, one] = [Host::Server, Host::Client(0), Host::Client(1)];
        let mut partitions = Partitions::default();
        partitions.add(zero, server);
        assert_eq!(partitions.fault(zero, server), Some(FaultKind::OneWayPartition));
        assert_eq!((partitions.fault(server, zero), partitions.fault(one, server)), (None, None));
        assert_eq!(partitions.passage(0, Toward::Server), Passage { data: false, acknowledgements: true });
        assert_eq!(partitions.passage(0, Toward::Client), Passage { data: true, acknowledgements: false });
        assert_eq!(partitions.passage(1, Toward::Client), Passage::FREE);
        assert_eq!(partitions.stream_fault(0, Toward::Client), Some(FaultKind::OneWayPartition));
        partitions.add(server, zero);
        assert_eq!(partitions.fault(zero, server), Some(FaultKind::Partition));
        partitions.mend();
        assert_eq!((partitions.fault(zero, server), partitions.is_empty()), (None, true));
    }
}
