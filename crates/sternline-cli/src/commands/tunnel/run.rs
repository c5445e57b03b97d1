//! A supervised connection, its forwards, and the loop that reports on them until somebody stops it.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use sternline::proto::forward::{BindAddress, ListenAddress, Side};
use sternline::proto::text::escape;
use sternline::{ConnectionState, ForwardHandle, ForwardIntent, RetryPolicy, Supervisor};
use tokio::io::{AsyncWriteExt, Stdout};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::args::Args;
use super::status::Status;
use crate::connect::{Connector, ask_password, parse_host};
use crate::ui::{Failure, Signals, Ui};

/// How often a first connection that has never worked is tried again: a wrong name or port should not try for ever.
const FIRST_RETRIES: u32 = 3;

/// How often the status line is drawn when nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// How long the last events wait for a reader.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let intents: Vec<_> = [&args.local, &args.remote, &args.dynamic]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    if intents.is_empty() {
        return Err(Failure::usage("there is nothing to forward")
            .with_hint("name at least one forward, such as -L 8080:localhost:80 or -D 1080"));
    }
    let target = parse_host(
        &args.host,
        "tunnel keeps up a connection to",
        &args.connect.hosts,
        ui,
    )?;
    let mut settings = Connector::new(&args.connect, true, ui)?.settings(&target)?;
    let events_wanted = args.connect.json || !std::io::stdout().is_terminal();
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let hosts = std::slice::from_mut(&mut settings);
    ask_password(&args.connect, hosts, false, &mut signals).await?;
    let (tell, mut events) = mpsc::unbounded_channel();
    let mut builder = settings.builder();
    if events_wanted {
        builder = builder.on_event(move |event| {
            // With nobody to tell any more the tunnel is about to end.
            let _ = tell.send(event.to_json());
        });
    }
    let policy = RetryPolicy {
        max_retries: args.max_retries.unwrap_or(u32::MAX),
        ..RetryPolicy::default()
    };
    let supervisor = Supervisor::builder(builder).retry(policy).launch()?;
    let mut tunnel = Tunnel {
        supervisor,
        ui: *ui,
        shown: Status::new(&target.to_string(), !args.connect.json, ui),
        forwards: Vec::new(),
        was_up: false,
    };
    let mut stdout = tokio::io::stdout();
    let outcome = tokio::select! {
        outcome = tunnel.up(intents, args.max_retries.unwrap_or(FIRST_RETRIES)) => outcome,
        _ = signals.next() => Ok(()),
        () = stay(args.connect.timeout) => tunnel.in_time(),
        failed = print_all(&mut events, &mut stdout) => failed,
    };
    tunnel.supervisor.close().await;
    // What the end had to say, to a reader who listens.
    let rest = async {
        while let Ok(event) = events.try_recv() {
            print(&event, &mut stdout).await?;
        }
        Ok::<(), Failure>(())
    };
    timeout(PATIENCE, rest).await.unwrap_or(Ok(()))?;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Ends after the given time, or never.
async fn stay(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

struct Tunnel {
    supervisor: Supervisor,
    ui: Ui,
    shown: Status,
    forwards: Vec<ForwardHandle>,
    /// Whether all forwards have been open at once.
    was_up: bool,
}

impl Tunnel {
    /// Until there is no hope.
    async fn up(&mut self, intents: Vec<ForwardIntent>, first_retries: u32) -> Result<(), Failure> {
        let mut status = self.supervisor.watch();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut waiting = Some(intents);
        loop {
            let now = status.borrow_and_update().clone();
            if now.state == ConnectionState::Connected
                && let Some(intents) = waiting.take()
            {
                self.open(intents).await?;
                self.was_up = true;
            }
            self.shown.draw(&now, &self.forwards);
            if now.is_final() || (waiting.is_some() && now.failed_attempts > first_retries) {
                return Err(now.last_error.as_ref().map_or_else(gone, Failure::from));
            }
            tokio::select! {
                changed = status.changed() => changed.map_err(|_| gone())?,
                _ = tick.tick() => {}
            }
        }
    }

    /// What it means that the time to stay is over: nothing, unless the tunnel was never up in all that time.
    fn in_time(&self) -> Result<(), Failure> {
        if self.was_up {
            return Ok(());
        }
        let status = self.supervisor.watch().borrow().clone();
        let reason = status.last_error.as_ref().map_or_else(
            || Failure::connection("there was no answer yet").with_hint("give it more time with --timeout"),
            Failure::from,
        );
        let message = format!("the tunnel was never up within --timeout: {}", reason.headline());
        Err(Failure::connection(message).with_hint(reason.hint()))
    }

    /// All forwards, or none: a tunnel that lacks one is not what was asked for.
    async fn open(&mut self, intents: Vec<ForwardIntent>) -> Result<(), Failure> {
        let manager = self.supervisor.forward_manager();
        for intent in intents {
            if let Some(address) = exposed(&intent) {
                self.ui.warning(&format!(
                    "{} {} listens on {address}: whoever can reach it can use the tunnel",
                    intent.option(),
                    escape(&intent.to_string())
                ));
            }
            let forward = manager.forward(intent).await?;
            self.ui.line(&described(&forward));
            self.forwards.push(forward);
        }
        Ok(())
    }
}

fn gone() -> Failure {
    Failure::connection("the tunnel has ended").with_hint("run it again with -v to see why")
}

/// The address that is not only loopback, if it is that.
fn exposed(intent: &ForwardIntent) -> Option<String> {
    let ListenAddress::Tcp { bind, .. } = &intent.listen else {
        return None;
    };
    match bind {
        _ if bind.is_loopback() => None,
        BindAddress::Address(address) => Some(escape(address)),
        BindAddress::All | BindAddress::Loopback => Some("all interfaces".to_owned()),
    }
}

/// Where it listens by now, and where it leads.
fn described(forward: &ForwardHandle) -> String {
    let intent = forward.intent();
    let port = forward.local_port();
    let listen = match &intent.listen {
        ListenAddress::Tcp {
            bind: BindAddress::Loopback,
            ..
        } => format!("localhost:{port}"),
        ListenAddress::Tcp { bind, .. } => {
            let bind = bind.clone();
            escape(&ListenAddress::Tcp { bind, port }.to_string())
        }
        ListenAddress::Unix { path } => escape(path),
    };
    let connect = match &intent.connect {
        Some(connect) => escape(&connect.to_string()),
        None => "wherever its SOCKS clients want to go".to_owned(),
    };
    match intent.listener {
        Side::Local => format!("listening here on {listen}; from the host to {connect}"),
        Side::Remote => format!("the host listens on {listen}; from here to {connect}"),
    }
}

/// Prints events until that fails. A reader who is slow holds up nothing else.
async fn print_all(events: &mut mpsc::UnboundedReceiver<String>, stdout: &mut Stdout) -> Result<(), Failure> {
    while let Some(event) = events.recv().await {
        print(&event, stdout).await?;
    }
    std::future::pending().await
}

async fn print(event: &str, stdout: &mut Stdout) -> Result<(), Failure> {
    let line = format!("{event}\n");
    let written = async {
        stdout.write_all(line.as_bytes()).await?;
        stdout.flush().await
    };
    written.await.map_err(|error| Failure::output(&error))
}
