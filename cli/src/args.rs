//! The command line. Every option has a `TOOM_*` variable of the same name, except secrets, which are never
//! arguments: they come from files, from inherited file descriptors, or from the person.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use toom_core::client::io::AcceptPolicy;
use toom_core::config::{Congestion, TransferConfig};
use toom_core::name::UserName;
use toom_core::wire::limits::{DEFAULT_POST_BYTES_RATE, DEFAULT_POST_RATE};

use crate::oneshot::{RecvArgs, SendArgs};
use crate::runtime::Runtime;
use crate::trust::Trust;
use crate::units::{parse_duration, parse_rate, parse_server, parse_size};

/// Messaging, rooms and file transfer for people who want no cloud: server and client in one binary.
#[derive(Debug, Parser)]
#[command(name = "toom", version, subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that may stand before or after the command.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Which driver does the work
    #[arg(long, global = true, value_enum, env = "TOOM_RUNTIME", default_value = "smol", hide_env_values = true)]
    pub(crate) runtime: Runtime,
    /// Say more on standard error; twice: even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only what must be said
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Whether to use colours
    #[arg(long, global = true, value_enum, env = "TOOM_COLOR", default_value = "auto", hide_env_values = true)]
    pub(crate) color: Color,
    /// One JSON object a line on standard output
    #[arg(long, global = true, env = "TOOM_JSON", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A server, three people, a room and a file crossing UDP, all in this terminal
    Demo(DemoArgs),
    /// Run a server
    Server(ServerArgs),
    /// Talk to others through a server
    Client(ClientArgs),
    /// Send files to somebody, one after another, and exit when they are verified there
    Send(SendArgs),
    /// Wait for one file, save it, and exit when it is verified
    Recv(RecvArgs),
    /// Add, change, remove and list accounts, also while the server runs
    #[command(subcommand)]
    User(UserCommand),
    /// Measure this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// One end of `bench transfer`, started by it
    #[command(hide = true)]
    BenchTransferEnd,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The file that crosses; without it, 64 MiB are made up
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServerArgs {
    /// Instead of running one
    #[command(subcommand)]
    pub(crate) command: Option<ServerCommand>,
    /// Where to accept connections; port 0 takes any free one
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "TOOM_LISTEN",
        default_value = "127.0.0.1:4000",
        hide_env_values = true
    )]
    pub(crate) listen: std::net::SocketAddr,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// How many consecutive failed logins block a user: 1 to 5
    #[arg(
        long,
        value_name = "N",
        env = "TOOM_ATTEMPTS",
        default_value = "3",
        allow_hyphen_values = true,
        hide_env_values = true
    )]
    pub(crate) attempts: String,
    /// For how long, for instance 10s, 500ms or 2m
    #[arg(long, value_name = "TIME", env = "TOOM_BLOCK", default_value = "10s", value_parser = parse_duration, hide_env_values = true)]
    pub(crate) block: Duration,
    /// For how long messages are kept, for instance 90d; older ones are deleted for good. For ever without
    #[arg(long, value_name = "TIME", env = "TOOM_KEEP", value_parser = parse_keep, hide_env_values = true)]
    pub(crate) keep: Option<Duration>,
    /// How long a user stays active whose connection was lost, and can resume it; 0s ends sessions with their connection
    #[arg(long, value_name = "TIME", env = "TOOM_GRACE", default_value = "60s", value_parser = parse_duration, hide_env_values = true)]
    pub(crate) grace: Duration,
    /// How many messages one user may post a second, and at once; 0 is no limit
    #[arg(long, value_name = "N", env = "TOOM_POST_RATE", default_value_t = DEFAULT_POST_RATE, hide_env_values = true)]
    pub(crate) post_rate: u32,
    /// How many bytes of messages one user may post a second, for instance 16MiB; 0 is no limit
    #[arg(long, value_name = "BYTES", env = "TOOM_POST_BYTES_RATE", default_value_t = DEFAULT_POST_BYTES_RATE, value_parser = parse_size, hide_env_values = true)]
    pub(crate) post_bytes_rate: u64,
    /// Adds the accounts of FILE that are missing: one `name password` a line
    #[arg(long, value_name = "FILE", env = "TOOM_CREDENTIALS", hide_env_values = true)]
    pub(crate) credentials: Option<PathBuf>,
}

/// What there is to do with a server's data, also while the server runs.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Look whether the data of a server is whole; exits with 1 if it is not
    Check {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Copy the database to FILE and the server's key to FILE.key, which must not exist
    Backup {
        /// Where to
        file: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Count what is in the data of a server
    Stats {
        #[command(flatten)]
        data: DataArgs,
    },
}

impl ServerCommand {
    /// Where the data is.
    pub(crate) fn data(&self) -> &DataArgs {
        match self {
            ServerCommand::Check { data } | ServerCommand::Backup { data, .. } | ServerCommand::Stats { data } => data,
        }
    }
}

/// Where a server keeps its data.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Holds everything of the server; made if missing [default: toom/server in the user's data directory]
    #[arg(long, value_name = "DIR", env = "TOOM_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The server; the port is 4000 if not given
    #[arg(value_name = "HOST[:PORT]", value_parser = parse_server)]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// Where received files are put [default: the current directory]
    #[arg(long, value_name = "DIR", env = "TOOM_DOWNLOADS", hide_env_values = true)]
    pub(crate) downloads: Option<PathBuf>,
    /// Line mode: one command a line
    #[arg(long)]
    pub(crate) line: bool,
    /// What to do with files that others offer [default: ask on a terminal, else none]
    #[arg(long, value_enum, env = "TOOM_ACCEPT", hide_env_values = true)]
    pub(crate) accept: Option<Accept>,
}

/// Who logs in, how, and from which port.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Who you are; asked if not given
    #[arg(long, value_name = "NAME", env = "TOOM_USER", hide_env_values = true)]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// The local UDP port for files; 0 takes any free one
    #[arg(long, value_name = "PORT", env = "TOOM_UDP_PORT", default_value = "0", hide_env_values = true)]
    pub(crate) udp_port: u16,
    /// What to do about a server whose key is not known here [default: ask on a terminal, else new]
    #[arg(long, value_enum, env = "TOOM_TRUST", hide_env_values = true)]
    pub(crate) trust: Option<Trust>,
}

/// What to do with offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accept {
    /// Wait for ACCEPT or REJECT.
    Ask,
    /// Accept all.
    All,
    /// Reject all.
    None,
}

impl From<Accept> for AcceptPolicy {
    fn from(accept: Accept) -> AcceptPolicy {
        match accept {
            Accept::Ask => AcceptPolicy::Ask,
            Accept::All => AcceptPolicy::All,
            Accept::None => AcceptPolicy::None,
        }
    }
}

/// Where a password comes from, if not from the person.
#[derive(Debug, Default, Args)]
pub(crate) struct PasswordArgs {
    /// The password is the first line of FILE
    #[arg(long, value_name = "FILE", env = "TOOM_PASSWORD_FILE", hide_env_values = true)]
    pub(crate) password_file: Option<PathBuf>,
    /// The password is the first line that can be read from file descriptor N
    #[arg(long, value_name = "N", conflicts_with = "password_file")]
    pub(crate) password_fd: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account
    Add(UserPasswordArgs),
    /// Change the password of an account
    Passwd(UserPasswordArgs),
    /// Remove an account
    Remove {
        /// The account's name
        #[arg(value_parser = parse_name)]
        name: UserName,
        #[command(flatten)]
        data: DataArgs,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Add the accounts of FILE that are missing: one `name password` a line
    Import {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserPasswordArgs {
    /// The account's name
    #[arg(value_parser = parse_name)]
    pub(crate) name: UserName,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// A file from one process to another over UDP on this machine
    Transfer(BenchTransferArgs),
}

/// Which congestion control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CongestionArg {
    /// By the rate and the shortest round trip of the path
    #[default]
    Bbr,
    /// By losses
    Cubic,
}

impl From<CongestionArg> for Congestion {
    fn from(arg: CongestionArg) -> Congestion {
        match arg {
            CongestionArg::Bbr => Congestion::Bbr,
            CongestionArg::Cubic => Congestion::Cubic,
        }
    }
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("link").args(["rate", "delay", "loss"]).multiple(true))]
pub(crate) struct BenchTransferArgs {
    /// How much to move, for instance 1073741824 or 64MiB [default: 1GiB; with --rate or --limit what that carries in ten
    /// seconds, if it is less; over another link 64MiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    pub(crate) size: Option<u64>,
    /// The size of UDP payloads, header and tag included [default: what path MTU discovery finds]
    #[arg(long, value_name = "BYTES", value_parser = parse_payload)]
    pub(crate) payload: Option<usize>,
    /// Which congestion control
    #[arg(long, value_enum, default_value_t)]
    pub(crate) congestion: CongestionArg,
    /// No faster than so many bits a second, for instance 100mbit, headers of packets included
    #[arg(long, value_name = "BITS", value_parser = parse_link_rate)]
    pub(crate) limit: Option<u64>,
    /// How often; the figures are medians
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Over a link of this rate in each direction, for instance 100mbit or 1gbit, with a queue for what is under way
    /// in a round trip; headers of IP and UDP take their share
    #[arg(long, value_name = "BITS", value_parser = parse_link_rate)]
    pub(crate) rate: Option<u64>,
    /// Over a link that takes so long in each direction, for instance 25ms
    #[arg(long, value_name = "DURATION", value_parser = parse_link_delay)]
    pub(crate) delay: Option<Duration>,
    /// Over a link that loses so many of 100 datagrams at random in each direction, for instance 1 or 0.1
    #[arg(long, value_name = "PERCENT", value_parser = parse_link_loss)]
    pub(crate) loss: Option<f64>,
    /// What the link's random losses follow from: the same again, or others
    #[arg(long, value_name = "N", default_value = "1", requires = "link")]
    pub(crate) seed: u64,
}

/// A name that an account may have; for a new one there are stricter rules.
fn parse_name(text: &str) -> Result<UserName, String> {
    UserName::read(text).map_err(|error| error.to_string())
}

fn parse_keep(text: &str) -> Result<Duration, String> {
    // A mistake in it deletes everything older, so nothing is guessed.
    if text.trim().bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("'{text}' has no unit; say for instance {text}d for days"));
    }
    let keep = parse_duration(text)?;
    if keep.is_zero() { Err("nothing would be kept; leave it out to keep everything".to_owned()) } else { Ok(keep) }
}

fn parse_payload(text: &str) -> Result<usize, String> {
    let (least, most) = (TransferConfig::MIN_PAYLOAD, TransferConfig::MAX_PAYLOAD);
    match text.parse() {
        Ok(payload) if (least..=most).contains(&payload) => Ok(payload),
        _ => Err(format!("it is a number between {least} and {most}")),
    }
}

pub(crate) fn parse_link_rate(text: &str) -> Result<u64, String> {
    let rate = parse_rate(text)?;
    if LINK_RATES.contains(&rate) { Ok(rate) } else { Err("it is between 64kbit and 100gbit".to_owned()) }
}

fn parse_link_delay(text: &str) -> Result<Duration, String> {
    let delay = parse_duration(text)?;
    if delay <= MAX_LINK_DELAY { Ok(delay) } else { Err("it is at most 10s".to_owned()) }
}

fn parse_link_loss(text: &str) -> Result<f64, String> {
    // What is no number, infinity and the like are not in the range either.
    match text.parse() {
        Ok(loss) if LINK_LOSSES.contains(&loss) => Ok(loss),
        _ => Err("it is a number between 0 and 50, without a sign of percent".to_owned()),
    }
}

/// One datagram takes 150 ms at the slowest; no process copies datagrams faster than the fastest.
const LINK_RATES: RangeInclusive<u64> = 64_000..=100_000_000_000;

/// Less than what ends a connection that hears nothing, there and back.
const MAX_LINK_DELAY: Duration = Duration::from_secs(10);

/// Nothing gets through a link that loses more, in a time that anybody waits for.
const LINK_LOSSES: RangeInclusive<f64> = 0.0..=50.0;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_before_or_after_the_command() {
        for line in ["toom --runtime std --json server", "toom server --json --runtime std"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((cli.global.runtime, cli.global.json), (Runtime::Std, true), "{line}");
        }
    }

    #[test]
    fn a_link_has_any_of_its_three_properties() {
        for (line, link) in [
            ("toom bench transfer", (None, None, None)),
            ("toom bench transfer --rate 64kbit --seed 2", (Some(64_000), None, None)),
            ("toom bench transfer --delay 10s --loss 0", (None, Some(MAX_LINK_DELAY), Some(0.0))),
            ("toom bench transfer --rate 100gbit --loss 50", (Some(100_000_000_000), None, Some(50.0))),
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Bench(BenchCommand::Transfer(args)) = cli.command else { panic!("{line}") };
            assert_eq!((args.rate, args.delay, args.loss), link, "{line}");
        }
    }

    #[test]
    fn names_and_payloads_are_checked_here() {
        for line in [
            "toom user add a;b",
            "toom user remove .x",
            "toom bench transfer --payload 1199",
            "toom bench transfer --payload 65001",
            "toom bench transfer --runs 0",
            "toom bench transfer --rate 63kbit",
            "toom bench transfer --rate 101gbit",
            "toom bench transfer --delay 10001ms",
            "toom bench transfer --loss -1",
            "toom bench transfer --loss 50.1",
            "toom bench transfer --loss NaN",
            "toom bench transfer --seed 2",
            "toom client host:0",
            "toom -q -v demo",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
