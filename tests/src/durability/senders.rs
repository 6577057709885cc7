//! A server process, and senders on connections of their own.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use toom_core::name::UserName;
use toom_core::secure::{HashCost, Password, PasswordHash, PublicKey};
use toom_core::server::fact::Fact;
use toom_core::wire::message::{Reply, ReplyBody, RequestBody, ServerMessage};
use toom_store::log::append;

use super::{TEXT_BYTES, argument};
use crate::hostile::stranger::{Stranger, connect, loopback};
use crate::process::Process;

/// How long a server takes to start, at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// To all senders.
    Broadcast,
    /// To somebody who is not there.
    Direct,
}

/// A server that runs.
pub struct Server {
    /// Killed with it.
    _process: Process,
    address: SocketAddr,
    key: PublicKey,
    /// Where SQLite counts its transactions.
    index: PathBuf,
}

/// What the senders saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confirmed {
    /// Messages a second.
    pub rate: f64,
    /// Messages in one transaction of the server, as far as that can be seen from outside.
    pub batch: f64,
}

impl Server {
    /// Starts one with so many accounts.
    pub fn start(toom: &Path, runtime: &str, data: &Path, senders: usize) -> io::Result<Server> {
        fs::create_dir(data)?;
        let account = |name: String| Fact::AccountAdded {
            name: UserName::new(&name).expect("a name"),
            hash: PasswordHash::new(&Password(name), [7; 16], HashCost::Trivial),
        };
        let accounts: Vec<Fact> = (0..senders).map(sender).chain(["away".to_owned()]).map(account).collect();
        append(data, &accounts).map_err(io::Error::other)?;
        let (send, lines) = channel();
        let heard = move |_, line: String| drop(send.send(line));
        let data = argument(data, "");
        let index = Path::new(&data).join("toom.db-shm");
        let args = ["--runtime", runtime, "server", "--json", "--listen", "127.0.0.1:0", "--post-rate", "0"];
        let args = [&args[..], &["--post-bytes-rate", "0", "--data", &data]].concat();
        let process = Process::start(toom, data.as_ref(), &args, heard)?;
        let line = lines.recv_timeout(PATIENCE).map_err(|_| io::Error::other(process.said.last()))?;
        thread::spawn(move || lines.into_iter().for_each(drop));
        let listening: Value = serde_json::from_str(&line)?;
        let text = |key: &str| listening[key].as_str().unwrap_or_default().to_owned();
        let address = text("address").parse().map_err(io::Error::other)?;
        let key = text("key").parse().map_err(io::Error::other)?;
        Ok(Server { _process: process, address, key, index })
    }

    /// Has so many senders post.
    pub fn rate(&self, posted: Posted, senders: usize, time: Duration) -> io::Result<Confirmed> {
        let mut strangers: Vec<Stranger> = (0..senders).map(|number| self.log_in(number)).collect::<io::Result<_>>()?;
        let mut asked = strangers.iter_mut().map(|it| it.send(posted.request())).collect::<io::Result<Vec<_>>>()?;
        let (began, mut confirmed, transactions) = (Instant::now(), 0, self.transactions()?);
        while began.elapsed() < time {
            for number in readable(&strangers)? {
                let (stranger, asked) = (&mut strangers[number], &mut asked[number]);
                let is_ours = |it: &ServerMessage| matches!(it, ServerMessage::Reply(reply) if reply.id == *asked);
                let answer = stranger.heard()?.filter(is_ours).last();
                match answer {
                    None => {}
                    Some(ServerMessage::Reply(Reply { body: ReplyBody::Sent { .. }, .. })) => {
                        confirmed += 1;
                        *asked = stranger.send(posted.request())?;
                    }
                    Some(other) => return Err(io::Error::other(format!("a post was answered with {other:?}"))),
                }
            }
        }
        let rate = f64::from(confirmed) / began.elapsed().as_secs_f64();
        let batch = f64::from(confirmed) / f64::from(self.transactions()?.wrapping_sub(transactions).max(1));
        // What others still send must not stand in their way.
        strangers.iter_mut().try_for_each(|stranger| stranger.ask(RequestBody::Logout).map(|_| ()))?;
        Ok(Confirmed { rate, batch })
    }

    /// How many transactions there were: `iChange` of the index of the write-ahead log, which each one increments
    /// (<https://sqlite.org/walformat.html>).
    fn transactions(&self) -> io::Result<u32> {
        let mut change = [0; 4];
        File::open(&self.index)?.read_exact_at(&mut change, 8)?;
        Ok(u32::from_ne_bytes(change))
    }

    fn log_in(&self, number: usize) -> io::Result<Stranger> {
        let mut stranger = Stranger::greet(connect(self.address, loopback(1))?, self.key)?;
        match stranger.login(&sender(number), &sender(number))? {
            ReplyBody::Welcome { .. } => Ok(stranger),
            other => Err(io::Error::other(format!("a login was answered with {other:?}"))),
        }
    }
}

/// Waits until something can be read; by whom.
fn readable(strangers: &[Stranger]) -> io::Result<Vec<usize>> {
    let mut fds: Vec<PollFd<'_>> = strangers.iter().map(|it| PollFd::new(&it.stream, PollFlags::IN)).collect();
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    match poll(&mut fds, Some(&patience))? {
        0 => Err(io::Error::other("the server says nothing any more")),
        _ => Ok(fds.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(number, _)| number).collect()),
    }
}

impl Posted {
    fn request(self) -> RequestBody {
        let text = "x".repeat(TEXT_BYTES);
        match self {
            Posted::Broadcast => RequestBody::Broadcast { text },
            Posted::Direct => RequestBody::DirectMessage { to: "away".into(), text },
        }
    }
}

fn sender(number: usize) -> String {
    format!("sender{number}")
}
