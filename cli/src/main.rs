//! The binary `toom`: server and client of Toom, and what belongs to them.
//!
//! | module | what it does |
//! |---|---|
//! | [`args`] | the command line |
//! | [`runtime`] | the choice of a driver |
//! | [`server`], [`activity`] | `toom server` and its terminal |
//! | [`maintenance`] | `toom server check`, `backup` and `stats` |
//! | [`client`], [`mod@line`] | `toom client`: people and scripts |
//! | [`oneshot`] | `toom send` and `toom recv` |
//! | [`connect`], [`trust`], [`known_servers`] | how all of these connect to a server |
//! | [`user`], [`accounts`], [`credentials`], [`password`] | accounts |
//! | [`demo`] | everything at once, in one terminal |
//! | [`mod@bench`] | measuring |
//! | [`exit`], [`output`], [`color`], [`log`], [`signals`], [`dirs`], [`random`], [`units`], [`made_up`] | what all of them need |
#![forbid(unsafe_code)]

mod accounts;
mod activity;
mod args;
mod bench;
mod client;
mod color;
mod connect;
mod credentials;
mod demo;
mod dirs;
mod exit;
mod known_servers;
mod line;
mod log;
mod made_up;
mod maintenance;
mod oneshot;
mod output;
mod password;
mod random;
mod runtime;
mod server;
mod service;
mod signals;
mod trust;
mod units;
mod user;

use std::process::ExitCode;

use clap::Parser;

use args::{BenchCommand, Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let global = &cli.global;
    log::start(global.verbose, global.quiet);
    let outcome = match &cli.command {
        Command::Demo(args) => demo::run(args, global),
        Command::Server(args) => server::run(args, global),
        Command::Client(args) => client::run(args, global),
        Command::Send(args) => oneshot::send(args, global),
        Command::Recv(args) => oneshot::recv(args, global),
        Command::User(command) => user::run(command, global),
        Command::Bench(BenchCommand::Transfer(args)) => bench::transfer::run(args, global),
        Command::BenchTransferEnd => bench::end::run(global),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::error(&failure.message, global.color);
            failure.exit.into()
        }
    }
}
