//! The options of `send` and `recv`.

use std::path::PathBuf;

use clap::Args;
use toom_core::name::UserName;

use crate::args::{LoginArgs, parse_link_rate};
use crate::units::parse_server;

/// `toom send`
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// What to send: files and folders, as one transfer if there are several; or - for standard input, until it ends
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Who gets it; may be given several times
    #[arg(long, value_name = "USER", required = true)]
    pub(crate) to: Vec<String>,
    /// What standard input is called at the other end [default: stdin]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// No faster than so many bits a second, for instance 100mbit, headers of packets included
    #[arg(long, value_name = "RATE", env = "TOOM_LIMIT", value_parser = parse_link_rate, hide_env_values = true)]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// `toom recv`
#[derive(Debug, Args)]
pub(crate) struct RecvArgs {
    /// Where to save the file, or - to write it to standard output while it arrives [default: the current directory]
    #[arg(short, long, value_name = "DIR|-", env = "TOOM_DOWNLOADS", hide_env_values = true)]
    pub(crate) output: Option<PathBuf>,
    /// Take only what USER offers, and reject what others offer
    #[arg(long, value_name = "USER", value_parser = parse_user)]
    pub(crate) from: Option<UserName>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Which server, and as whom.
#[derive(Debug, Args)]
pub(crate) struct ConnectionArgs {
    /// The server; the port is 4000 if not given
    #[arg(long, value_name = "HOST[:PORT]", env = "TOOM_SERVER", value_parser = parse_server, hide_env_values = true)]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// A name as it may be typed, or as an account of an early version has it.
fn parse_user(text: &str) -> Result<UserName, String> {
    UserName::new(text).or_else(|_| UserName::read(text)).map_err(|error| error.to_string())
}
