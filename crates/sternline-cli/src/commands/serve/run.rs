//! The server that `sternline serve` runs, from its options to its end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sternline::Secret;
use sternline::config::Env;
use sternline::proto::target::check_user;
use sternline::proto::text::{escape, escape_bytes};
use sternline_server::fault::ServerFault;
use sternline_server::replay::Replay;
use sternline_server::{
    Credential, ExitOutcome, FileAction, FileEntry, KeyPair, LogEntry, Reply, Server, ServerBuilder,
    VirtualFiles,
};

use super::replay;
use crate::ui::{Failure, Signals, Ui};

const NOTES: &str = "\
It listens on loopback, says on standard error how to connect, and shows each command that is run and each file that is moved. Ctrl-C or SIGTERM \
ends it and every session, with exit status 0.

Without --password-file and --authorized-keys a random password is made and shown once.

--replay needs a bundle with recorded commands, as `sternline ssh --evidence FILE --record-output` writes it. A command that it \
lacks gets exit status 127; they are listed at the end. Who may log in, the host key and the algorithms are the server's own.

Faults: drop, drop-after:BYTES, reset, refuse, black-hole, stall, slow:BYTES (a second), latency:TIME (50ms, 2s), \
corrupt-to-client:BYTE, corrupt-to-server:BYTE, truncate-kex, banner-only, refuse-auth:TIMES, refuse-channels:REASON \
and refuse-channels:REASON:TIMES, where REASON is administratively-prohibited, connect-failed, unknown-channel-type or \
resource-shortage. Bytes are counted for each connection.

Faults of files: disk-full:BYTES, deny:PATH, list-name:NAME, shrink:BYTES, no-extensions, no-sftp, close-after:BYTES, \
stall-after:BYTES.";

/// Run the embedded SSH server, to try things on.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// The port to listen on; 0 takes any free one
    #[arg(short, long, default_value_t = 0)]
    port: u16,

    /// Who may log in [default: you]
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// Let the user log in with the password in this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Let the user log in with the public keys in this file, one a line, without options
    #[arg(long, value_name = "FILE")]
    authorized_keys: Option<PathBuf>,

    /// The server's private key, in the OpenSSH format and unencrypted [default: made in memory]
    #[arg(long, value_name = "FILE")]
    host_key: Option<PathBuf>,

    /// Answer the command CMD with this text and a newline; may be given several times
    #[arg(long, value_name = "CMD=TEXT")]
    answer: Vec<String>,

    /// Answer all other commands as they were recorded in this bundle of evidence, and say which ones it lacks
    #[arg(long, value_name = "BUNDLE", conflicts_with = "shell")]
    replay: Option<PathBuf>,

    /// Let each replayed command take as long as it took
    #[arg(long, requires = "replay")]
    replay_timing: bool,

    /// Run all other commands in a REAL shell on this machine: whoever logs in can do what you can
    #[arg(long)]
    shell: bool,

    /// Let clients read and write the files in this directory, and nothing outside it, over SFTP and SCP
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,

    /// Let clients read and write files in memory, over SFTP and SCP; they are gone when the server ends
    #[arg(long, conflicts_with = "files")]
    virtual_files: bool,

    /// Let clients forward ports and sockets, to wherever this machine can connect
    #[arg(long)]
    allow_forwarding: bool,

    /// Fail in this way, see below; refusals and faults of files may be given beside one other
    #[arg(long, value_name = "NAME")]
    fault: Vec<String>,

    /// Listen on this address instead of loopback, where others may reach it
    #[arg(long, value_name = "ADDR")]
    danger_listen: Option<IpAddr>,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen for signals: {error}")))?;
    let user = user(&args)?;
    let (credentials, password) = credentials(&args, ui)?;
    let replay = match &args.replay {
        Some(path) => Some(replay::load(path, args.replay_timing, ui)?),
        None => None,
    };
    let answered = args.answer.iter().filter_map(|answer| answer.split_once('='));
    let answered = answered.map(|(command, _)| command.to_owned());
    let recorded = replay.iter().flat_map(Replay::commands);
    // An empty one is an interactive shell.
    let mut examples = answered.chain(recorded).filter(|command| !command.is_empty());
    let example = examples.next().unwrap_or_else(|| "echo hello".to_owned());
    let mut builder = builder(&args, ui, &user, credentials)?;
    if let Some(replay) = &replay {
        builder = builder.replay(replay.clone());
    }
    let has_use = args.shell || args.allow_forwarding || files(&args).is_some() || replay.is_some();
    if args.answer.is_empty() && !has_use {
        ui.warning(
            "there is nothing to run: give --answer CMD=TEXT, or --shell for a real shell, or --files DIR",
        );
    }
    let server = builder.bind().await.map_err(|error| {
        Failure::local(error.to_string()).with_hint("see --port, --host-key, --files and --danger-listen")
    })?;

    if let Some(replay) = &replay {
        replay::introduce(replay, &user, args.host_key.is_some(), ui);
    }
    introduce(
        ui,
        &server,
        &user,
        password.as_ref(),
        &example,
        files(&args).as_deref(),
    );
    signals.next().await;
    server.shutdown().await;
    if let Some(replay) = &replay {
        replay::summarise(replay, ui);
    }
    ui.line("The server and its sessions have ended.");
    Ok(ExitCode::SUCCESS)
}

fn user(args: &Args) -> Result<String, Failure> {
    let user = match &args.user {
        Some(user) => user.clone(),
        None => Env::system().user.unwrap_or_else(|| "sternline".to_owned()),
    };
    check_user(&user).map_err(|error| Failure::usage(error.to_string()).with_hint("name another --user"))?;
    Ok(user)
}

/// What lets the user in, and the password if it was made up here.
fn credentials(args: &Args, ui: &Ui) -> Result<(Vec<Credential>, Option<Secret>), Failure> {
    let mut credentials = Vec::new();
    if let Some(path) = &args.password_file {
        let text = Secret::new(read(path)?);
        let password = text.expose();
        let password = password.strip_suffix('\n').unwrap_or(password);
        let password = password.strip_suffix('\r').unwrap_or(password);
        if password.is_empty() {
            return Err(Failure::local(format!("{} holds no password", shown(path)))
                .with_hint("write the password on its first line"));
        }
        credentials.push(Credential::password(password));
    }
    if let Some(path) = &args.authorized_keys {
        let text = read(path)?;
        let lines = text.lines().enumerate().filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        for (index, line) in lines {
            let credential = Credential::public_key(line).map_err(|error| {
                Failure::local(format!("{}:{}: {error}", shown(path), index + 1))
                    .with_hint("give lines of .pub files; options in front of the key are not supported")
            })?;
            credentials.push(credential);
        }
        if credentials.is_empty() {
            return Err(Failure::local(format!("{} holds no public key", shown(path)))
                .with_hint("give lines of .pub files, such as ~/.ssh/id_ed25519.pub"));
        }
    }
    if !credentials.is_empty() {
        return Ok((credentials, None));
    }
    if ui.is_quiet() {
        return Err(Failure::usage("with -q the random password would not be shown")
            .with_hint("give --password-file or --authorized-keys, or leave -q out"));
    }
    let password = random_password()?;
    Ok((vec![Credential::password(password.expose())], Some(password)))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::local(format!("cannot read {}: {error}", shown(path)))
            .with_hint("check the path and its permissions")
    })
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// 100 random bits as letters and digits that look like no others.
fn random_password() -> Result<Secret, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::local(format!("the system gives no random numbers: {error}")))?;
    let letters = bytes
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    Ok(Secret::new(
        letters.map(|letter| char::from(*letter)).collect::<String>(),
    ))
}

fn builder(args: &Args, ui: &Ui, user: &str, credentials: Vec<Credential>) -> Result<ServerBuilder, Failure> {
    let mut builder = Server::builder();
    for credential in credentials {
        builder = builder.user(user, credential);
    }
    builder = match args.danger_listen {
        Some(address) => builder.danger_bind(SocketAddr::new(address, args.port)),
        None => builder.port(args.port),
    };
    if let Some(path) = &args.host_key {
        let key = KeyPair::from_file(path).map_err(|error| {
            Failure::local(format!("cannot use the host key {}: {error}", shown(path)))
                .with_hint("`ssh-keygen -t ed25519 -N '' -f FILE` makes a host key")
        })?;
        builder = builder.host_key(key);
    }
    for answer in &args.answer {
        let (command, text) = answer.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--answer {} holds no `=`", escape(answer)))
                .with_hint("write --answer 'uptime=up 3 days'")
        })?;
        builder = builder.command(command.to_owned(), Reply::stdout(format!("{text}\n")));
    }
    if args.shell {
        builder = builder.real_shell();
    }
    if args.allow_forwarding {
        builder = builder.allow_forwarding();
    }
    if let Some(directory) = &args.files {
        builder = builder.directory(directory);
    }
    if args.virtual_files {
        builder = builder.files(VirtualFiles::new());
    }
    for fault in faults(args)? {
        builder = builder.fault(fault);
    }
    let (ui, files_ui) = (*ui, *ui);
    Ok(builder
        .on_log(move |entry| ui.line(&told(entry)))
        .on_file(move |entry| files_ui.line(&told_file(entry))))
}

/// The faults by their names, of which the link can have only one.
fn faults(args: &Args) -> Result<Vec<ServerFault>, Failure> {
    let parsed: Result<Vec<ServerFault>, _> = args.fault.iter().map(|name| name.parse()).collect();
    let faults = parsed.map_err(|error| {
        Failure::usage(error.to_string()).with_hint("write for example --fault latency:50ms")
    })?;
    let of_files = faults.iter().find(|fault| matches!(fault, ServerFault::Files(_)));
    if let Some(fault) = of_files.filter(|_| files(args).is_none()) {
        let fault = escape(&fault.to_string());
        return Err(Failure::usage(format!("--fault {fault} has no files to fail"))
            .with_hint("give --files DIR or --virtual-files"));
    }
    let of_the_link = faults
        .iter()
        .filter(|fault| matches!(fault, ServerFault::Link(_)));
    if of_the_link.count() > 1 {
        return Err(
            Failure::usage("a connection can fail in one way at a time, and several are given")
                .with_hint("give one such --fault, and beside it refusals and faults of files if you like"),
        );
    }
    Ok(faults)
}

/// One line for the start of a command, one for its end.
fn told(entry: &LogEntry) -> String {
    let user = escape(&entry.user);
    let what = match &entry.command {
        Some(command) => escape_bytes(command),
        None => match &entry.subsystem {
            Some(subsystem) => format!("({} subsystem)", escape(subsystem)),
            None => "(interactive shell)".to_owned(),
        },
    };
    match &entry.exit {
        None => format!("{user}: {what}"),
        Some(ExitOutcome::Code(code)) => format!("{user}: {what} -> exit status {code}"),
        Some(ExitOutcome::Signal { name, .. }) => format!("{user}: {what} -> signal {}", escape(name)),
        Some(ExitOutcome::NoStatus) => format!("{user}: {what} -> no exit status"),
        Some(ExitOutcome::ConnectionLost { .. }) => format!("{user}: {what} -> connection lost"),
    }
}

/// One line for what was done to a file.
fn told_file(entry: &FileEntry) -> String {
    let (user, path) = (escape(&entry.user), escape_bytes(&entry.path));
    match &entry.action {
        FileAction::Uploaded { bytes } => format!("{user}: uploaded {path}, {bytes} bytes"),
        FileAction::Downloaded { bytes } => format!("{user}: downloaded {path}, {bytes} bytes"),
        FileAction::Renamed { to } => format!("{user}: renamed {path} to {}", escape_bytes(to)),
        FileAction::Removed => format!("{user}: removed {path}"),
        // What the server learns to tell later.
        _ => format!("{user}: changed {path}"),
    }
}

/// Which files there are, if any.
fn files(args: &Args) -> Option<String> {
    let directory = args.files.as_deref().map(shown);
    directory.or_else(|| args.virtual_files.then(|| "in memory".to_owned()))
}

fn introduce(
    ui: &Ui,
    server: &Server,
    user: &str,
    password: Option<&Secret>,
    example: &str,
    files: Option<&str>,
) {
    let bound = server.addr();
    let here = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, bound.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, bound.port())),
        _ => bound,
    };
    let key = server.host_key();
    let known_hosts = match here.port() {
        22 => format!("{} {} {}", here.ip(), key.algorithm(), key.to_base64()),
        port => format!("[{}]:{port} {} {}", here.ip(), key.algorithm(), key.to_base64()),
    };
    let user = escape(user);
    if !bound.ip().is_loopback() {
        ui.warning("this is not loopback: others can reach this server, and it does not slow down who guesses passwords");
    }
    ui.line(&format!("Listening on {bound}, for the user {user}."));
    ui.line(&format!("Host key: {} {}", key.algorithm(), key.fingerprint()));
    if let Some(password) = password {
        ui.line(&format!("Password: {}", password.expose()));
    }
    if let Some(files) = files {
        ui.line(&format!("Files, over SFTP and SCP: {files}"));
    }
    ui.line("");
    ui.line("To connect from another terminal:");
    ui.line("");
    ui.line(&format!("  echo '{known_hosts}' > serve_known_hosts"));
    ui.line(&format!(
        "  sternline ssh --known-hosts serve_known_hosts {user}@{here} {}",
        quoted(example)
    ));
    ui.line("");
    ui.line("Each command is shown below. Ctrl-C ends the server and its sessions.");
}

/// A word for a shell to copy.
fn quoted(text: &str) -> String {
    format!("'{}'", escape(text).replace('\'', r"'\''"))
}
