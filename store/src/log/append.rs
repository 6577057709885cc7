//! The log as other processes use it (`toom user`), also while a server runs.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::TransactionBehavior;
use toom_core::id::LogIndex;
use toom_core::name::UserName;
use toom_core::server::fact::Fact;

use super::{OpenError, Synchronous, check, checkpoint, facts, schema};

/// Appends facts from another process (`toom user`), also while a server runs, which then hears of them. All or
/// none; makes the log if it is missing.
pub fn append(data: &Path, facts: &[Fact]) -> Result<(), OpenError> {
    schema::make_directory(data)?;
    let mut connection = schema::open_or_create(data, Synchronous::Full)?;
    check::end(&connection, data, &schema::path(data))?;
    checkpoint::renew(&connection, &schema::path(data)).map_err(OpenError)?;
    let mut insert_all = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut index = facts::last(&transaction)?;
        for fact in facts {
            index = LogIndex(index.0 + 1);
            facts::insert(&transaction, index, fact)?;
        }
        transaction.commit()?;
        schema::trust(&connection)
    };
    insert_all().map_err(|error| schema::while_opening(&schema::path(data), &error))
}

/// The names that have an account now, in order; empty if there is no log.
pub fn accounts(data: &Path) -> Result<Vec<UserName>, OpenError> {
    let Some(connection) = schema::open_read_only(data)? else { return Ok(Vec::new()) };
    let mut names = BTreeSet::new();
    facts::read_after(&connection, LogIndex(0), |_, fact| match fact {
        Fact::AccountAdded { name, .. } => {
            names.insert(name);
        }
        Fact::AccountRemoved { name } => {
            names.remove(&name);
        }
        _ => {}
    })
    .map_err(|error| error.while_opening(&schema::path(data)))?;
    Ok(names.into_iter().collect())
}
