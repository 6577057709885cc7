//! Names of files that would do harm, and links that others plant where files are received.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toom_core::text::printable;

use super::arena::{Arena, eventually};
use super::processes::ClientProcess;
use super::report::Outcome;

/// What must stay as it is.
const UNTOUCHED: &str = "untouched";
/// Long enough to do something while it is on its way.
const LARGE: u64 = 256 << 20;
/// A swap must happen while a file is on its way; if that was missed it is tried again.
const TRIES: usize = 20;

/// A sender whose files have names of all kinds, a receiver that accepts all, and what surrounds its folder.
struct Stage {
    sender: ClientProcess,
    receiver: ClientProcess,
    sources: PathBuf,
    /// Has `downloads`, `outside`, and whatever should not be there.
    sandbox: PathBuf,
}

impl Stage {
    fn new(arena: &Arena) -> io::Result<Stage> {
        let (sources, sandbox) = (arena.folder()?, arena.folder()?);
        let (downloads, outside) = (sandbox.join("downloads"), sandbox.join("outside"));
        fs::create_dir(&downloads)?;
        fs::create_dir(&outside)?;
        fs::write(outside.join("target"), UNTOUCHED)?;
        Stage::with_downloads(arena, sources, sandbox, &downloads)
    }

    fn with_downloads(arena: &Arena, sources: PathBuf, sandbox: PathBuf, downloads: &Path) -> io::Result<Stage> {
        let downloads = downloads.to_str().ok_or_else(|| io::Error::other("a plain path"))?;
        let receiver = arena.client("chewie", &["--accept", "all", "--downloads", downloads])?;
        let sender = arena.client("mallory", &[])?;
        Ok(Stage { sender, receiver, sources, sandbox })
    }

    /// Sends a file that is called so. What no file can be called, `core::secure::offer` tests.
    fn send(&mut self, name: &str, content: &[u8], length: u64) -> io::Result<()> {
        let source = self.sources.join(name);
        fs::write(&source, content)?;
        fs::File::options().write(true).open(&source)?.set_len(length)?;
        self.sender.type_line(&format!("UPD chewie {}", source.display()))
    }

    /// How it ends at the receiver.
    fn ended(&mut self) -> io::Result<Value> {
        let ended = |event: &Value| {
            event["event"] == "transfer"
                && event["direction"] == "in"
                && matches!(event["state"].as_str(), Some("done" | "failed"))
        };
        let (_, event) = self.receiver.find("the end of a transfer", ended)?;
        let both_know =
            |event: &Value| event["event"] == "transfer" && matches!(event["state"].as_str(), Some("done" | "failed"));
        self.sender.find("the end of a transfer", both_know)?;
        Ok(event)
    }

    /// Everything but what is in the downloads is as it was.
    fn check_outside(&self, outcome: &mut Outcome) -> io::Result<()> {
        let target = fs::read(self.sandbox.join("outside/target"))?;
        outcome.check(target == UNTOUCHED.as_bytes(), "a file outside of the folder was written");
        let count = |path: &Path| fs::read_dir(path).map(Iterator::count);
        outcome.check(count(&self.sandbox.join("outside"))? == 1, "a file outside of the folder was made");
        for client in [&self.sender, &self.receiver] {
            if let Some(panic) = client.said().panic() {
                outcome.fault(format!("a client panicked: {panic}"));
            }
        }
        Ok(())
    }
}

/// Names that would do harm if they were used or shown as they are.
pub(super) fn names(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut stage = Stage::new(arena)?;
    let long = "n".repeat(255);
    let accents = format!("e{}", "\u{301}".repeat(120));
    let labels = [
        "..\\..\\.ssh\\authorized_keys",
        "CON",
        "con.txt",
        "COM1",
        "nul",
        &long,
        "\u{1b}]0;x\u{7}",
        "\u{1b}[2J\u{9b}31mred",
        "picture\u{202e}gpj.exe",
        "a\rc",
        "-rf",
        ".bashrc",
        "~",
        "$(reboot)",
        "x.",
        &accents,
        "\u{200b}\u{2066}\u{e0041}",
        ".mallory_x.00000000.part",
    ];
    for (number, label) in labels.iter().enumerate() {
        let content = format!("content {number}");
        stage.send(label, content.as_bytes(), content.len() as u64)?;
        let ended = stage.ended()?;
        let Some(name) = ended["saved_as"].as_str() else {
            outcome.fault(format!("{label:?} was not received: {ended}"));
            continue;
        };
        let harmless = name.starts_with("mallory_") && !name.contains(['/', '\\']) && printable(name) == name;
        outcome.check(harmless && name.len() <= 255, format!("{label:?} was received as {name:?}"));
        let stored = fs::read(stage.sandbox.join("downloads").join(name))?;
        outcome.check(stored == content.as_bytes(), format!("{name:?} has other content"));
        outcome.count("received under a harmless name");
    }
    stage.check_outside(outcome)?;
    let entries = fs::read_dir(&stage.sandbox)?.count();
    outcome.check(entries == 2, "something was put beside the folder");
    Ok(())
}

/// Links where the file would get its name, where it is while it is received, and instead of the folder.
pub(super) fn links(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut stage = Stage::new(arena)?;
    let downloads = stage.sandbox.join("downloads");
    for (label, to) in
        [("planted.txt", "../outside/target"), ("dangling.txt", "../outside/new"), ("loop.txt", "loop.txt")]
    {
        let link = downloads.join(format!("mallory_{label}"));
        symlink(to, &link)?;
        symlink("../outside/target", downloads.join(format!(".mallory_{label}.0123abcd.part")))?;
        stage.send(label, b"hostile", 7)?;
        let ended = stage.ended()?;
        let name = ended["saved_as"].as_str().unwrap_or_default().to_owned();
        outcome.check(name.contains(" (2)"), format!("{label} was received as {name:?}: {ended}"));
        outcome.check(fs::read(downloads.join(&name))? == b"hostile", format!("{name:?} has other content"));
        outcome.check(fs::read_link(&link)? == Path::new(to), "the planted link was replaced");
        outcome.count("links under the final name: another name was taken");
    }
    stage.check_outside(outcome)?;
    swap_part(&mut stage, &downloads, outcome)?;
    drop(stage);
    swap_folder(arena, outcome)
}

/// While a file is received, its partial file is taken away, and a link put in its place.
fn swap_part(stage: &mut Stage, downloads: &Path, outcome: &mut Outcome) -> io::Result<()> {
    for number in 0..TRIES {
        let label = format!("swapped-{number}");
        stage.send(&label, b"hostile", LARGE)?;
        let mut part = None;
        eventually(|| {
            let names = fs::read_dir(downloads).into_iter().flatten().flatten().map(|entry| entry.file_name());
            part = names
                .filter_map(|name| name.into_string().ok())
                .find(|name| name.starts_with(&format!(".mallory_{label}.")) && name.ends_with(".part"));
            // It may have its final name already.
            part.is_some() || downloads.join(format!("mallory_{label}")).exists()
        });
        let swapped = part.is_some_and(|part| {
            fs::rename(downloads.join(&part), downloads.join(format!("stolen-{number}"))).is_ok()
                && symlink("../outside/target", downloads.join(&part)).is_ok()
        });
        let ended = stage.ended()?;
        if swapped {
            outcome.check(ended["state"] == "failed", format!("the swapped partial file was taken: {ended}"));
            outcome.count(&format!("partial file swapped for a link: {}", ended["state"]));
            return stage.check_outside(outcome);
        }
    }
    outcome.fault("no partial file could be swapped in time");
    Ok(())
}

/// While a file is received, the folder, which is a link itself, is made to lead elsewhere.
fn swap_folder(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let (sources, sandbox) = (arena.folder()?, arena.folder()?);
    for name in ["real", "outside"] {
        fs::create_dir(sandbox.join(name))?;
    }
    fs::write(sandbox.join("outside/target"), UNTOUCHED)?;
    let link = sandbox.join("downloads");
    symlink("real", &link)?;
    let mut stage = Stage::with_downloads(arena, sources, sandbox.clone(), &link)?;
    for number in 0..TRIES {
        stage.send(&format!("elsewhere-{number}"), b"hostile", LARGE)?;
        eventually(|| fs::read_dir(sandbox.join("real")).is_ok_and(|entries| entries.count() > number));
        symlink("outside", sandbox.join("new"))?;
        fs::rename(sandbox.join("new"), &link)?;
        // Not too late: it has no final name yet.
        let in_time = !sandbox.join(format!("real/mallory_elsewhere-{number}")).exists();
        let ended = stage.ended()?;
        stage.check_outside(outcome)?;
        if in_time {
            let stored = ended["saved_as"].as_str().is_some_and(|name| sandbox.join("real").join(name).exists());
            outcome.check(stored, format!("after the folder was swapped: {ended}"));
            outcome.count("folder swapped for another: received in the first one");
            return Ok(());
        }
        symlink("real", sandbox.join("new"))?;
        fs::rename(sandbox.join("new"), &link)?;
    }
    outcome.fault("the folder could not be swapped in time");
    Ok(())
}
