//! `toom server check`, `backup` and `stats`: what an operator does with a server's data, also while the server runs.

use std::path::Path;

use serde_json::{Value, json};
use toom_core::text::printable;
use toom_core::time::Timestamp;
use toom_store::log::OpenError;
use toom_store::maintenance::{self, Backup, Finding, Stats};
use toom_store::wall::{rfc3339, written};

use crate::args::{Global, ServerCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::line::human::size;
use crate::{dirs, output};

/// Does what was asked, and says what was found.
pub(crate) fn run(command: &ServerCommand, global: &Global) -> Outcome {
    let failed = |error: OpenError| Failure::failed(error);
    let data = dirs::data(command.data().data.as_deref())?;
    match command {
        ServerCommand::Check { .. } => {
            let findings = maintenance::check(&data).map_err(failed)?;
            for finding in &findings {
                say(global, &check_json(finding), &check_line(finding));
            }
            let is_well = findings.iter().all(|finding| finding.is_well);
            Ok(if is_well { Exit::Done } else { Exit::Failed })
        }
        ServerCommand::Backup { file, .. } => {
            let made = maintenance::backup(&data, file).map_err(failed)?;
            say(global, &backup_json(&made), &backup_lines(&made));
            Ok(Exit::Done)
        }
        ServerCommand::Stats { .. } => {
            let stats = maintenance::stats(&data).map_err(failed)?;
            say(global, &stats_json(&stats), &stats_lines(&stats));
            Ok(Exit::Done)
        }
    }
}

fn say(global: &Global, object: &Value, lines: &str) {
    let _ = if global.json { output::line(&object.to_string()) } else { output::line(lines) };
}

fn check_line(finding: &Finding) -> String {
    let Finding { what, is_well, sentence } = finding;
    format!("{what}: {} ({})", if *is_well { "ok" } else { "NOT OK" }, printable(sentence))
}

fn check_json(finding: &Finding) -> Value {
    json!({"event": "check", "what": finding.what, "ok": finding.is_well, "message": finding.sentence})
}

fn backup_lines(made: &Backup) -> String {
    let shown = |path: &Path| printable(&path.display().to_string()).into_owned();
    format!(
        "The database is in {} ({}), the server's key in {}. Keep both, and keep them secret.",
        shown(&made.database),
        size(made.bytes),
        shown(&made.key)
    )
}

fn backup_json(made: &Backup) -> Value {
    json!({"event": "backup", "database": made.database, "key": made.key, "bytes": made.bytes})
}

fn stats_lines(stats: &Stats) -> String {
    let time = |at: Option<Timestamp>| at.map_or("none".to_owned(), written);
    let snapshot = match stats.snapshot {
        Some(fact) => format!("of fact {fact}, with {} behind it", stats.facts.saturating_sub(fact)),
        None => "none".to_owned(),
    };
    [
        format!("accounts: {}", stats.accounts),
        format!("rooms: {}", stats.rooms),
        format!("broadcasts: {}", stats.broadcasts),
        format!("messages in rooms: {}", stats.room_messages),
        format!("direct messages: {}", stats.direct_messages),
        format!("oldest message: {}", time(stats.oldest)),
        format!("newest message: {}", time(stats.newest)),
        format!("database: {}", size(stats.database_bytes)),
        format!("search index: {}", size(stats.search_bytes)),
        format!("facts: {}", stats.facts),
        format!("last snapshot: {snapshot}"),
    ]
    .join("\n")
}

fn stats_json(stats: &Stats) -> Value {
    json!({
        "event": "stats", "accounts": stats.accounts, "rooms": stats.rooms, "broadcasts": stats.broadcasts,
        "room_messages": stats.room_messages, "direct_messages": stats.direct_messages,
        "oldest": stats.oldest.map(rfc3339), "newest": stats.newest.map(rfc3339),
        "database_bytes": stats.database_bytes, "search_bytes": stats.search_bytes, "facts": stats.facts,
        "snapshot": stats.snapshot,
    })
}
