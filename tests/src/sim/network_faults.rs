//! Faults of the network, put into effect.

use toom_core::id::ConnectionId;

use super::fault::{Fault, FaultKind, Host};
use super::stream;
use super::world::Simulation;

impl Simulation {
    /// A fault of the network; others do nothing here.
    pub(super) fn inject_network(&mut self, fault: &Fault) {
        // What is meant may be nobody.
        let _ = self.try_inject_network(fault);
        self.settle();
    }

    /// The network is well again.
    pub(super) fn heal_network(&mut self) {
        let now = self.now();
        self.network().heal(now);
        self.settle();
    }

    fn try_inject_network(&mut self, fault: &Fault) -> Option<()> {
        let now = self.now();
        match *fault {
            Fault::Partition { from, to, both } => {
                let (from, to) = (self.host(from)?, self.host(to)?);
                self.network().part(now, from, to, both);
            }
            Fault::Link { from, to, options } => {
                let (from, to) = (self.living(from)?, self.living(to)?);
                let [from, to] = [from, to].map(|number| self.client(number).address());
                self.network().set_link(from, to, options);
            }
            Fault::Stall { client, toward, time } => {
                let connection = self.connection(client)?;
                self.network().hinder(now, connection, toward, stream::Input::Stalled(time));
            }
            Fault::Trickle { client, toward, rate } => {
                let connection = self.connection(client)?;
                self.network().hinder(now, connection, toward, stream::Input::Trickles(rate));
            }
            Fault::Reset { client } => {
                let connection = self.connection(client)?;
                if self.network().reset(now, connection) {
                    self.network().count(FaultKind::Reset);
                }
            }
            Fault::Rebind { client } => {
                let number = self.living(client)?;
                let client = self.client(number);
                let (own, transfers) = (client.address(), client.is_transferring());
                self.network().rebind(own);
                if transfers {
                    self.network().count(FaultKind::AddressChange);
                }
            }
            Fault::Replay { client, count, foreign, changed } => {
                let number = self.living(client)?;
                let own = self.client(number).address();
                self.network().replay(now, own, count, foreign, changed);
            }
            _ => {}
        }
        Some(())
    }

    /// The host that is meant, as the network knows it.
    fn host(&mut self, host: Host) -> Option<Host> {
        let Host::Client(number) = host else { return Some(Host::Server) };
        let number = self.living(number)?;
        let address = self.client(number).address().ip();
        self.network().host_at(address)
    }

    /// The connection of the client that is meant.
    fn connection(&mut self, client: usize) -> Option<ConnectionId> {
        let number = self.living(client)?;
        Some(self.client(number).connection())
    }
}
