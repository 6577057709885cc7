//! `toom user`: accounts, also while the server runs, which hears of them through the log.

use std::path::Path;
use std::thread;

use serde_json::json;
use toom_core::name::UserName;
use toom_core::server::fact::Fact;
use toom_core::text::printable;

use crate::args::{Global, UserCommand, UserPasswordArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::{accounts, credentials, dirs, output, password};

/// Carries out `toom user ...`.
pub(crate) fn run(command: &UserCommand, global: &Global) -> Outcome {
    match command {
        UserCommand::Add(args) => add(args, global),
        UserCommand::Passwd(args) => passwd(args, global),
        UserCommand::Remove { name, data } => remove(name, &dirs::data(data.data.as_deref())?, global),
        UserCommand::List { data } => list(&dirs::data(data.data.as_deref())?, global),
        UserCommand::Import { file, data } => import(file, &dirs::data(data.data.as_deref())?, global),
    }
}

fn add(args: &UserPasswordArgs, global: &Global) -> Outcome {
    let data = dirs::data(args.data.data.as_deref())?;
    // What an early account may have is not for new ones.
    let name = &UserName::new(args.name.as_str()).map_err(|error| Failure::usage(format!("{error}.")))?;
    let existing = accounts::existing(&data)?;
    if existing.contains(name) {
        return Err(Failure::failed(format!("There is an account {name} already.")));
    }
    accounts::refuse_lookalikes(existing, [name])?;
    let hash = accounts::hash(&password::new(&args.password, name.as_str())?)?;
    accounts::append_and_tell(&data, &[Fact::AccountAdded { name: name.clone(), hash }])?;
    say(global, "account_added", name, "The account {} was added.")
}

fn passwd(args: &UserPasswordArgs, global: &Global) -> Outcome {
    let data = dirs::data(args.data.data.as_deref())?;
    let name = &must_exist(&data, &args.name)?;
    let hash = accounts::hash(&password::new(&args.password, name.as_str())?)?;
    accounts::append_and_tell(&data, &[Fact::PasswordChanged { name: name.clone(), hash }])?;
    say(global, "password_changed", name, "The password of {} was changed.")
}

fn remove(name: &UserName, data: &Path, global: &Global) -> Outcome {
    let name = &must_exist(data, name)?;
    accounts::append_and_tell(data, &[Fact::AccountRemoved { name: name.clone() }])?;
    say(global, "account_removed", name, "The account {} was removed.")
}

fn list(data: &Path, global: &Global) -> Outcome {
    let names = accounts::existing(data)?;
    if global.json {
        let names: Vec<_> = names.iter().map(UserName::as_str).collect();
        return done(output::line(&json!({"event": "accounts", "users": names}).to_string()));
    }
    for name in &names {
        if output::line(&printable(name.as_str())).is_err() {
            break;
        }
    }
    Ok(Exit::Done)
}

fn import(file: &Path, data: &Path, global: &Global) -> Outcome {
    let accounts = credentials::read(file)?;
    let all = accounts.len();
    let added = accounts::add_missing(data, accounts, !global.quiet)?;
    thread::sleep(accounts::HEARD_WITHIN);
    if global.json {
        let said = json!({"event": "accounts_imported", "added": added, "existing": all - added});
        return done(output::line(&said.to_string()));
    }
    if global.quiet {
        return Ok(Exit::Done);
    }
    done(output::line(&format!("Added {added} of {all} accounts; {} were there already.", all - added)))
}

fn must_exist(data: &Path, name: &UserName) -> Result<UserName, Failure> {
    accounts::find(data, name)?.ok_or_else(|| Failure::failed(format!("There is no account {name}.")))
}

fn say(global: &Global, event: &str, name: &UserName, sentence: &str) -> Outcome {
    if global.json {
        return done(output::line(&json!({"event": event, "user": name.as_str()}).to_string()));
    }
    if global.quiet {
        return Ok(Exit::Done);
    }
    done(output::line(&sentence.replace("{}", &printable(name.as_str()))))
}

/// What was asked for is done, whether anybody still reads about it or not.
fn done(_said: std::io::Result<()>) -> Outcome {
    Ok(Exit::Done)
}
