//! `toom demo`: a server, three people, a room and a file crossing UDP, in one process, with nothing set up.
//!
//! It uses what `toom server` and `toom client` use, over real sockets on 127.0.0.1, and checks itself that
//! the file arrived intact.

mod person;
mod story;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::args::{DemoArgs, Global};
use crate::exit::{Exit, Failure, Outcome};
use crate::{made_up, output, random, signals};
use story::Figures;

/// What crosses if nobody names a file.
const MADE_UP_BYTES: u64 = 64 << 20;
const MADE_UP_NAME: &str = "made-up-film.mp4";

/// Plays the demo.
pub(crate) fn run(args: &DemoArgs, global: &Global) -> Outcome {
    let given = args.file.as_deref().map(usable).transpose()?;
    let dir = tempfile::Builder::new().prefix("toom-demo-").tempdir().map_err(no_room)?;
    let path = dir.path().to_owned();
    signals::exit_after(move || drop(fs::remove_dir_all(&path)))?;
    let played = play(given, &dir, global);
    drop(dir);
    if global.json {
        let last = match &played {
            Ok(figures) => figures.json(),
            Err(failure) => json!({"event": "demo", "ok": false, "message": failure.message}),
        };
        if let Err(error) = output::line(&last.to_string())
            && let Some(failure) = output::failure(&error)
        {
            return Err(failure);
        }
    }
    played.map(|_| Exit::Done)
}

fn play(given: Option<PathBuf>, dir: &TempDir, global: &Global) -> Result<Figures, Failure> {
    let file = match given {
        Some(file) => file,
        None => {
            let file = dir.path().join(MADE_UP_NAME);
            made_up::write(&file, MADE_UP_BYTES, &random::bytes()?).map_err(no_room)?;
            file
        }
    };
    story::tell(&file, dir.path(), global)
}

/// Whether `path` is a file that can be sent, before anything else is started.
fn usable(path: &Path) -> Result<PathBuf, Failure> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::failed(format!("There is no file {shown}.")),
        _ => Failure::failed(format!("{shown} cannot be read: {error}.")),
    })?;
    if metadata.is_dir() {
        return Err(Failure::failed(format!("{shown} is a directory; the demo needs a file.")));
    }
    if !metadata.is_file() {
        return Err(Failure::failed(format!("{shown} is no regular file; the demo needs one.")));
    }
    File::open(path).map_err(|error| Failure::failed(format!("{shown} cannot be read: {error}.")))?;
    Ok(path.to_owned())
}

fn no_room(error: io::Error) -> Failure {
    Failure::failed(format!("The demo has no place for its files: {error}."))
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure::failed(format!("{} cannot be read: {error}.", path.display()))
}
