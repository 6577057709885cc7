//! What the network writes on packets (RFC 3168), and how it is counted (RFC 9000, section 13.4).

/// What a packet had written on it when it arrived (RFC 3168, section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// It may not be marked.
    #[default]
    NotCapable,
    /// It may be.
    Ect0,
    /// It may be, as others understand it (RFC 9331).
    Ect1,
    /// There was a queue.
    Congestion,
}

/// How many packets arrived with what written on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcnCounts {
    /// [`Ecn::Ect0`].
    pub ect0: u64,
    /// [`Ecn::Ect1`].
    pub ect1: u64,
    /// [`Ecn::Congestion`].
    pub congestion: u64,
}

impl EcnCounts {
    /// One more packet has arrived.
    pub(crate) fn add(&mut self, ecn: Ecn) {
        match ecn {
            Ecn::NotCapable => {}
            Ecn::Ect0 => self.ect0 += 1,
            Ecn::Ect1 => self.ect1 += 1,
            Ecn::Congestion => self.congestion += 1,
        }
    }
}
