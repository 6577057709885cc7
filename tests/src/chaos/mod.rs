//! People post while the server, or their own clients, are killed with SIGKILL at random moments. Everything that was
//! ever confirmed must be there, once, in one order, and everybody must agree.
//!
//! The page cache survives a SIGKILL: that what is confirmed also survives a loss of power is what
//! `tests/tests/forgetful` shows, with the store on a file system that forgets what was not synced.

mod person;
mod verdict;

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::Process;
use crate::sim::dice::Dice;
use person::Person;

pub use verdict::Outcome;

/// Far beyond what anything takes; what is waited for longer is lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The server, each time.
    Server,
    /// One of the clients, each time.
    Client,
}

/// How much.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub toom: PathBuf,
    /// How many people post.
    pub people: usize,
    /// How often something is killed.
    pub kills: usize,
    /// Decides what is random.
    pub seed: u64,
}

/// Runs it on one runtime; says how far it is.
pub fn run(runtime: &str, victim: Victim, options: &Options, mut say: impl FnMut(&str)) -> io::Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("toom-chaos-").tempdir()?;
    let mut dice = Dice::new(options.seed, "chaos");
    let names: Vec<String> = (0..options.people).map(|number| format!("person{number:02}")).collect();
    let credentials = folder.path().join("credentials");
    std::fs::write(&credentials, names.iter().map(|name| format!("{name} {name}\n")).collect::<String>())?;
    std::fs::set_permissions(&credentials, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    // The same port again and again, as people have it.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let start = || start_server(&options.toom, runtime, folder.path(), &address);
    let began = Instant::now();
    let mut server = start()?;
    let join = |name: &String| Person::new(&options.toom, runtime, &folder.path().join(name), &address, name);
    let mut people: Vec<Person> = names.iter().map(join).collect::<io::Result<_>>()?;
    let mut longest = Duration::ZERO;
    for kill in 0..options.kills {
        post_for(&mut people, dice.up_to(Duration::from_millis(400)))?;
        match victim {
            Victim::Server => {
                server.child.kill()?;
                server.child.wait()?;
                let down = Instant::now();
                post_for(&mut people, dice.up_to(Duration::from_millis(100)))?;
                server = start()?;
                longest = longest.max(down.elapsed());
            }
            Victim::Client => {
                let chosen = dice.within(0..=people.len() as u64 - 1) as usize;
                people[chosen].kill_and_come_back()?;
            }
        }
        if kill % 10 == 9 {
            say(&format!("{} of {} kills", kill + 1, options.kills));
        }
    }
    post_for(&mut people, Duration::from_millis(500))?;
    // Once nobody posts any more, everybody reads the same.
    people.iter_mut().try_for_each(Person::settle)?;
    people.iter_mut().try_for_each(Person::finish)?;
    Ok(verdict::judge(&people, longest, began.elapsed()))
}

/// Everybody posts as fast as their posts are confirmed.
fn post_for(people: &mut [Person], time: Duration) -> io::Result<()> {
    let end = Instant::now() + time;
    loop {
        people.iter_mut().try_for_each(Person::post)?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        // The pace of a burst of people; what was confirmed meanwhile makes room for more.
        std::thread::sleep(left.min(Duration::from_millis(2)));
    }
}

fn start_server(toom: &Path, runtime: &str, folder: &Path, address: &str) -> io::Result<Process> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (data, credentials) = (path("data"), path("credentials"));
    let args = ["--runtime", runtime, "server", "--json", "--listen", address, "--data", &data];
    let (send, lines) = channel();
    let heard = move |_, line: String| {
        // Only the first line is waited for.
        let _ = send.send(line);
    };
    let process = Process::start(toom, folder, &[&args[..], &["--credentials", &credentials]].concat(), heard)?;
    let line = lines.recv_timeout(PATIENCE).map_err(|_| {
        let said = process.said.last();
        io::Error::other(format!("the server does not start; it said: {said}"))
    })?;
    let listening: Value = serde_json::from_str(&line)?;
    match &listening["event"] {
        event if event == "listening" => Ok(process),
        _ => Err(io::Error::other(format!("the server said first: {line}"))),
    }
}
