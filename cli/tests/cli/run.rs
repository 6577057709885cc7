//! Running the binary: a server on a free port, and clients that speak JSON.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both drivers.
pub(crate) const RUNTIMES: [&str; 2] = ["smol", "std"];

/// A home in which nobody has been: servers of other tests may have had the same port.
pub(crate) fn fresh_home() -> PathBuf {
    static HOMES: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));
    static NEXT: AtomicU64 = AtomicU64::new(1);
    HOMES.path().join(NEXT.fetch_add(1, Relaxed).to_string())
}

/// The binary, without what the environment of the tests may say, in a home of its own.
pub(crate) fn toom(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toom"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOOM_")) {
        command.env_remove(name);
    }
    command.env("XDG_DATA_HOME", fresh_home());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary with `input` until it ends by itself.
pub(crate) fn run(args: &[&str], input: &str) -> Output {
    feed(toom(args), input)
}

/// Runs a command with `input` until it ends by itself.
pub(crate) fn feed(mut command: Command, input: &str) -> Output {
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // It may end without having read everything.
    thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let watch = Watch::over(&child);
    let output = child.wait_with_output().expect("it ends");
    watch.done();
    output
}

/// The exit code.
pub(crate) fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// What was said on standard output and standard error.
pub(crate) fn said(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The lines of standard output as JSON.
pub(crate) fn events(output: &Output) -> Vec<Value> {
    let (text, _) = said(output);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// Kills a process that does not end.
pub(crate) struct Watch(mpsc::Sender<()>);

impl Watch {
    /// Kills it after a while.
    pub(crate) fn over(child: &Child) -> Watch {
        let (done, ended) = mpsc::channel();
        let id = child.id().to_string();
        thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                signal("-KILL", &id);
            }
        });
        Watch(done)
    }

    /// It has ended.
    pub(crate) fn done(self) {
        // The thread may have given up already.
        let _ = self.0.send(());
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(signal: &str, id: &str) {
    let status = Command::new("kill").args([signal, id]).status().expect("kill is there");
    assert!(status.success(), "{id} can be signalled");
}

/// Calls `ready` until it is true.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < give_up, "{what} did not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process whose standard output is read line by line.
struct Talker {
    child: Child,
    lines: Receiver<String>,
    /// Once it is listened to.
    stderr: Option<Receiver<String>>,
}

impl Talker {
    fn start(mut command: Command) -> (Talker, ChildStdin) {
        let mut child = command.spawn().expect("the binary starts");
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (said, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    break;
                }
            }
        });
        (Talker { child, lines, stderr: None }, stdin)
    }

    fn line(&mut self, what: &str) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("waited for {what} in vain"),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let mut why = String::new();
                if let Some(stderr) = self.child.stderr.take() {
                    why = std::io::read_to_string(stderr).unwrap_or_default();
                }
                panic!("waited for {what}, but the process has ended: {why}")
            }
        }
    }

    fn end(&mut self) -> Option<i32> {
        let watch = Watch::over(&self.child);
        let status = self.child.wait().expect("it ends");
        watch.done();
        status.code()
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of the accounts yoda, luke and leia, whose passwords are `NAME-password`.
pub(crate) struct Server {
    talker: Talker,
    _stdin: ChildStdin,
    /// Holds everything of the test.
    pub(crate) dir: TempDir,
    /// Where it listens.
    pub(crate) address: String,
    /// By which it is known.
    pub(crate) key: String,
    runtime: String,
}

impl Server {
    /// Starts one with the default settings.
    pub(crate) fn start(runtime: &str) -> Server {
        Server::start_with(runtime, &[])
    }

    /// Starts one with more options.
    pub(crate) fn start_with(runtime: &str, options: &[&str]) -> Server {
        Server::start_in(Server::folder(), runtime, options)
    }

    /// Starts one with more in its environment.
    pub(crate) fn start_with_environment(runtime: &str, environment: &[(&str, &str)]) -> Server {
        Server::start_as("127.0.0.1:0", Server::folder(), runtime, &[], environment)
    }

    fn folder() -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let accounts: String = ["yoda", "luke", "leia"].map(|name| format!("{name} {name}-password\n")).concat();
        fs::write(dir.path().join("credentials.txt"), accounts).expect("a file");
        for name in ["yoda", "luke", "leia"] {
            fs::write(dir.path().join(name), format!("{name}-password\n")).expect("a file");
        }
        dir
    }

    /// Starts one on what is in `dir`.
    pub(crate) fn start_in(dir: TempDir, runtime: &str, options: &[&str]) -> Server {
        Server::start_at("127.0.0.1:0", dir, runtime, options)
    }

    /// The same, at an address.
    pub(crate) fn start_at(listen: &str, dir: TempDir, runtime: &str, options: &[&str]) -> Server {
        Server::start_as(listen, dir, runtime, options, &[])
    }

    fn start_as(listen: &str, dir: TempDir, runtime: &str, options: &[&str], environment: &[(&str, &str)]) -> Server {
        let mut command = toom(&["--runtime", runtime, "server", "--json", "--listen", listen]);
        command.args(["--data", path(&dir.path().join("data"))]);
        command.args(["--credentials", path(&dir.path().join("credentials.txt"))]).args(options);
        command.envs(environment.iter().copied());
        let (mut talker, stdin) = Talker::start(command);
        let listening: Value = serde_json::from_str(&talker.line("the server")).expect("JSON");
        assert_eq!(listening["event"], "listening");
        let address = listening["address"].as_str().expect("an address").to_owned();
        let key = listening["key"].as_str().expect("a key").to_owned();
        Server { talker, _stdin: stdin, dir, address, key, runtime: runtime.into() }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The file with the password of `name`.
    pub(crate) fn password_file(&self, name: &str) -> String {
        path(&self.dir.path().join(name)).to_owned()
    }

    /// What is needed to log in as `name`.
    pub(crate) fn client_args(&self, name: &str) -> Vec<String> {
        let file = self.password_file(name);
        ["--runtime", &self.runtime, "client", &self.address, "--user", name, "--password-file", &file]
            .map(str::to_owned)
            .to_vec()
    }

    /// What is needed to carry out `command` as `name`.
    pub(crate) fn task_args(&self, name: &str, command: &[&str]) -> Vec<String> {
        let file = self.password_file(name);
        let login = ["--server", &self.address, "--user", name, "--password-file", &file];
        ["--runtime", &self.runtime].iter().chain(command).chain(&login).map(|arg| (*arg).to_owned()).collect()
    }

    /// Runs a client with `input` until it ends by itself.
    pub(crate) fn client(&self, name: &str, more: &[&str], input: &str) -> Output {
        let args = self.client_args(name);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        run(&args, input)
    }

    /// Waits for an activity in which `find` finds what it looks for.
    pub(crate) fn activity(&mut self, what: &str, find: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.talker.line(what);
            let activity: Value = serde_json::from_str(&line).expect("JSON");
            if find(&activity) {
                return activity;
            }
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, with: &str) {
        signal(with, &self.talker.child.id().to_string());
    }

    /// Waits for a line on standard error in which this is.
    pub(crate) fn stderr_line(&mut self, text: &str) {
        let stderr = self.talker.stderr.get_or_insert_with(|| {
            let stderr = BufReader::new(self.talker.child.stderr.take().expect("a pipe"));
            let (said, lines) = mpsc::channel();
            thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(said.send(line))));
            lines
        });
        while !stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited for {text} in vain")).contains(text) {}
    }

    /// Asks it to stop, as the system does; how it exits.
    pub(crate) fn stop(mut self, with: &str) -> (Option<i32>, TempDir) {
        signal(with, &self.talker.child.id().to_string());
        (self.talker.end(), self.dir)
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.talker.child.kill().expect("it can be killed");
    }
}

/// A client that speaks JSON, logged in.
pub(crate) struct Client {
    talker: Talker,
    stdin: Option<ChildStdin>,
}

impl Client {
    /// Logs in as `name`.
    pub(crate) fn start(server: &Server, name: &str, options: &[&str]) -> Client {
        Client::start_at(&fresh_home(), server, name, options)
    }

    /// The same, in this home.
    pub(crate) fn start_at(home: &Path, server: &Server, name: &str, options: &[&str]) -> Client {
        let args = server.client_args(name);
        let args: Vec<&str> =
            args.iter().map(String::as_str).chain(["--json"]).chain(options.iter().copied()).collect();
        let mut command = toom(&args);
        command.env("XDG_DATA_HOME", home);
        let (talker, stdin) = Talker::start(command);
        let mut client = Client { talker, stdin: Some(stdin) };
        assert_eq!(client.event("welcome")["user"], name);
        client
    }

    /// Carries out `command` as `name`, in this home; it says so in JSON.
    pub(crate) fn start_task(home: &Path, server: &Server, name: &str, command: &[&str]) -> Client {
        let args = server.task_args(name, command);
        let mut command = toom(&args.iter().map(String::as_str).chain(["--json"]).collect::<Vec<_>>());
        command.env("XDG_DATA_HOME", home);
        let (talker, stdin) = Talker::start(command);
        let mut client = Client { talker, stdin: Some(stdin) };
        assert_eq!(client.event("welcome")["user"], name);
        client
    }

    /// Logs in as `name` with a client that speaks to people.
    pub(crate) fn start_plain(server: &Server, name: &str) -> Client {
        let args = server.client_args(name);
        let (talker, stdin) = Talker::start(toom(&args.iter().map(String::as_str).collect::<Vec<_>>()));
        let mut client = Client { talker, stdin: Some(stdin) };
        client.line_with("Welcome");
        client
    }

    /// The next line in which this is; others are skipped.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.talker.line(text);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("the input is open"), "{line}").expect("the client reads");
    }

    /// The next event of this name; others are skipped.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.find(name, |event| event["event"] == name)
    }

    /// The next event in which `find` finds what it looks for.
    pub(crate) fn find(&mut self, what: &str, find: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.talker.line(what);
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if find(&event) {
                return event;
            }
        }
    }

    /// Types a line; its answer.
    pub(crate) fn ask(&mut self, line: &str, answer: &str) -> Value {
        self.type_line(line);
        self.event(answer)
    }

    /// Ends its input, and waits until it ends; how it exits.
    pub(crate) fn finish(mut self) -> Option<i32> {
        self.stdin = None;
        self.talker.end()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, with: &str) {
        signal(with, &self.talker.child.id().to_string());
    }

    /// Sends a signal, and waits until it ends; how it exits.
    pub(crate) fn interrupt(mut self, with: &str) -> Option<i32> {
        signal(with, &self.talker.child.id().to_string());
        self.talker.end()
    }

    /// Waits until it ends by itself; how it exits.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.talker.end()
    }
}

/// A path as an argument.
pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}
