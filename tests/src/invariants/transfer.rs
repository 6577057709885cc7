//! Transfers, from their start to their end: what people are told of them, and the names of files.

use std::collections::BTreeMap;
use std::net::IpAddr;

use toom_core::client::event::{Event, Transfer, TransferState};
use toom_core::client::io::{Output as ClientOutput, Progress, Report, Side, Start};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::transfer::io::{Input, Output};

use super::{Broken, Checker, Moment, Observation, ensure};

/// A name that cannot do harm, in the folder.
pub const NAME_IS_HARMLESS: &str = "transfer: a final name is sender_label or a numbered alternative, and no path";
/// Somebody else's file is safe.
pub const NOTHING_IS_REPLACED: &str = "transfer: a file that is there is never replaced by other content";
/// The receiver's machine asks for it.
pub const NAMED_WHEN_ASKED: &str = "transfer: a final name appears once, when it was asked for and nothing has ended";
/// The sender's word can be relied on.
pub const DONE_AFTER_NAME: &str = "transfer: done is said only after the final name is there, with the same hash";
/// One start, one end.
pub const ENDS_ONCE: &str = "transfer: it starts once and ends once, and nothing is said of it afterwards";
/// Progress is progress.
pub const MOVES_FORWARD: &str = "transfer: the bytes that have arrived only grow, up to the size of the file";
/// Whoever tries again finds the space free.
pub const CLOSED_BEFORE_FAILED: &str = "transfer: the file is closed once, before a failure is told";
/// People are told what the machine says.
pub const PEOPLE_ARE_TOLD: &str = "transfer: people are told done only when the machine said so, and once";
/// Nothing is left.
pub const COMES_TO_AN_END: &str = "transfer: once all is healed it ends in bounded time, and leaves nothing open";

/// Watches the life of all transfers.
#[derive(Debug, Default)]
pub struct Life {
    ends: BTreeMap<(usize, OfferId), End>,
    /// By what both ends share, the hash of what has its final name.
    named: BTreeMap<Shared, [u8; 32]>,
    /// What each client has received, by name.
    folders: BTreeMap<usize, Folder>,
    hosts: BTreeMap<usize, IpAddr>,
    /// What the latest client of a host has left behind for the next one of the same person.
    left: BTreeMap<IpAddr, Folder>,
    /// What people were told of each transfer last.
    told: BTreeMap<(usize, OfferId), Told>,
}

/// What both ends of a transfer share, and nobody else.
type Shared = (OfferId, [u8; 32]);
/// Hashes by name.
type Folder = BTreeMap<String, [u8; 32]>;

/// One end of a transfer.
#[derive(Debug)]
struct End {
    shared: Shared,
    bytes: u64,
    /// `sender_` and the label, at the receiver.
    name: Option<(String, String)>,
    arrived: u64,
    index: PeerIndex,
    forgotten: bool,
    closed: bool,
    asked_for_name: bool,
    /// The final name and the hash.
    published: Option<(String, [u8; 32])>,
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done([u8; 32]),
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    UnderWay,
    Ended,
}

impl Checker for Life {
    fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ClientStarts { client, address, .. } => {
                let host = address.ip();
                let alone = self.hosts.values().all(|other| *other != host);
                let folder = self.left.get(&host).filter(|_| alone).cloned().unwrap_or_default();
                self.folders.insert(*client, folder);
                self.hosts.insert(*client, host);
                Ok(())
            }
            Observation::TransfersHear(client, Input::Start(start)) => self.start(*client, start),
            Observation::ClientSays(client, ClientOutput::Event(Event::Transfer(transfer))) => {
                self.tell(*client, transfer)
            }
            Observation::TransfersSay(client, output) => self.say(*client, output),
            Observation::Published { client, transfer, name, content } => {
                self.published(*client, *transfer, name, content)
            }
            Observation::ClientEnds(client) => {
                self.ends.retain(|(owner, _), _| owner != client);
                self.told.retain(|(owner, _), _| owner != client);
                let folder = self.folders.remove(client).unwrap_or_default();
                self.left.extend(self.hosts.remove(client).map(|host| (host, folder)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _: Moment) -> Result<(), Broken> {
        for ((client, transfer), end) in &self.ends {
            let over = end.ended.is_some() && end.closed && end.forgotten;
            ensure(over, COMES_TO_AN_END, || format!("transfer {transfer} of client {client}: {end:?}"))?;
        }
        let waiting = self.told.iter().find(|(_, told)| **told == Told::UnderWay);
        ensure(waiting.is_none(), COMES_TO_AN_END, || format!("somebody still waits: {waiting:?}"))
    }
}

impl Life {
    fn start(&mut self, client: usize, start: &Start) -> Result<(), Broken> {
        let name = match &start.side {
            Side::Send { .. } => None,
            Side::Receive { from, label, .. } => Some((format!("{from}_"), label.to_string())),
        };
        let end = End {
            shared: (start.transfer, start.agreement.shared.0),
            bytes: start.bytes.unwrap_or_default(),
            name,
            arrived: 0,
            index: start.local_index,
            forgotten: false,
            closed: false,
            asked_for_name: false,
            published: None,
            ended: None,
        };
        let again = self.ends.insert((client, start.transfer), end);
        ensure(again.is_none(), ENDS_ONCE, || format!("client {client} starts {} again", start.transfer))
    }

    fn say(&mut self, client: usize, output: &Output) -> Result<(), Broken> {
        let (Output::Listen { transfer, .. }
        | Output::Forget { transfer, .. }
        | Output::Publish { transfer }
        | Output::Close { transfer, .. }
        | Output::Report(Report { transfer, .. })) = output
        else {
            return Ok(());
        };
        let Some(end) = self.ends.get_mut(&(client, *transfer)) else { return Ok(()) };
        let whom = || format!("client {client}, transfer {transfer}: {output:?}");
        match output {
            Output::Listen { index, .. } => ensure(end.index == *index && !end.forgotten, ENDS_ONCE, whom)?,
            Output::Forget { index, .. } => {
                let again = core::mem::replace(&mut end.forgotten, true);
                ensure(end.index == *index && !again, ENDS_ONCE, whom)?;
            }
            Output::Publish { .. } => {
                let first = !core::mem::replace(&mut end.asked_for_name, true);
                ensure(first && end.ended.is_none(), NAMED_WHEN_ASKED, whom)?;
            }
            Output::Close { .. } => {
                ensure(!core::mem::replace(&mut end.closed, true), CLOSED_BEFORE_FAILED, whom)?;
            }
            Output::Report(Report { progress, .. }) => {
                ensure(end.ended.is_none(), ENDS_ONCE, whom)?;
                let named = self.named.get(&end.shared).copied();
                end.report(progress, named).map_err(|invariant| Broken { invariant, what: whom() })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn published(&mut self, client: usize, transfer: OfferId, name: &str, content: &[u8]) -> Result<(), Broken> {
        let whom = || format!("client {client}, transfer {transfer}: {name:?}");
        let Some(end) = self.ends.get_mut(&(client, transfer)) else {
            return ensure(false, NAMED_WHEN_ASKED, whom);
        };
        let expected = end.asked_for_name && end.published.is_none();
        ensure(expected, NAMED_WHEN_ASKED, whom)?;
        let derived = end.name.as_ref().is_some_and(|(sender, label)| is_alternative(name, sender, label));
        ensure(derived && is_harmless(name), NAME_IS_HARMLESS, whom)?;
        let hash = blake3::hash(content).into();
        let before = self.folders.entry(client).or_default().insert(name.to_owned(), hash);
        ensure(before.is_none_or(|before| before == hash), NOTHING_IS_REPLACED, whom)?;
        end.published = Some((name.to_owned(), hash));
        self.named.insert(end.shared, hash);
        Ok(())
    }

    /// Somebody is told how a transfer goes.
    fn tell(&mut self, client: usize, transfer: &Transfer) -> Result<(), Broken> {
        let place = (client, transfer.id);
        let whom = || format!("client {client} tells {transfer:?}");
        let told = match &transfer.state {
            TransferState::Done { .. } | TransferState::Failed(_) => Told::Ended,
            _ => Told::UnderWay,
        };
        let before = self.told.insert(place, told);
        ensure(before != Some(Told::Ended), PEOPLE_ARE_TOLD, whom)?;
        if let TransferState::Done { blake3, .. } = &transfer.state {
            let said = self.ends.get(&place).and_then(|end| end.ended);
            ensure(said == Some(Ended::Done(*blake3)), PEOPLE_ARE_TOLD, whom)?;
        }
        Ok(())
    }
}

impl End {
    /// `named` is the hash of what has its final name at the receiver. Answers which invariant is broken.
    fn report(&mut self, progress: &Progress, named: Option<[u8; 32]>) -> Result<(), &'static str> {
        match progress {
            Progress::Resumed { bytes, .. } | Progress::Moving { bytes, .. } => {
                if *bytes < self.arrived || *bytes > self.bytes {
                    return Err(MOVES_FORWARD);
                }
                self.arrived = *bytes;
            }
            Progress::Waiting(_) | Progress::Paused { .. } => {}
            Progress::Done { blake3, saved_as } => {
                let here = self.published.as_ref().map(|(name, _)| name);
                let right = named == Some(*blake3) && saved_as.as_ref() == here;
                if !right || self.name.is_some() != saved_as.is_some() {
                    return Err(DONE_AFTER_NAME);
                }
                self.ended = Some(Ended::Done(*blake3));
            }
            Progress::Failed(_) => {
                if !self.closed {
                    return Err(CLOSED_BEFORE_FAILED);
                }
                self.ended = Some(Ended::Failed);
            }
        }
        Ok(())
    }
}

/// Whether `name` is `sender_label`, or has ` (2)` or a higher number before the label's last extension.
fn is_alternative(name: &str, sender: &str, label: &str) -> bool {
    let Some(name) = name.strip_prefix(sender) else { return false };
    let (stem, extension) = match label.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (label, String::new()),
    };
    let between = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension.as_str()));
    let digits = between.and_then(|between| between.strip_prefix(" (")?.strip_suffix(')'));
    let number = digits.filter(|digits| !digits.starts_with(['0', '+'])).and_then(|digits| digits.parse::<u32>().ok());
    name == label || number.is_some_and(|number| number >= 2)
}

/// Whether `name` is a plain name in a folder on any system, and looks like what it is.
fn is_harmless(name: &str) -> bool {
    let deceives =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}');
    let plain = |c: char| !c.is_control() && !deceives(c) && !['/', '\\'].contains(&c);
    !name.is_empty() && name.len() <= 255 && name.chars().all(plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests;
