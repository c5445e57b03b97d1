//! A supervised connection, its forwards, and the loop that reports on them until somebody stops it.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use sternline::proto::forward::{BindAddress, ListenAddress, Side};
use sternline::proto::text::escape;
use sternline::{ConnectionState, Error, ForwardHandle, ForwardIntent, RetryPolicy, Supervisor};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::args::Args;
use super::status::StatusLine;
use crate::connect::{Connector, parse_host};
use crate::ui::{Failure, Signals, Ui};

/// How often a first connection that has never worked is tried again: a wrong name or port should not try for ever.
const FIRST_RETRIES: u32 = 3;

/// How often the status line is drawn when nothing happens.
const TICK: Duration = Duration::from_secs(1);

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
    let target = parse_host(&args.host, "tunnel keeps up a connection to", ui)?;
    let settings = Connector::new(&args.connect, true, ui)?.settings(&target)?;
    let events_wanted = args.connect.json || !std::io::stdout().is_terminal();
    let signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let (tell, events) = mpsc::unbounded_channel();
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
        signals,
        events,
        line: StatusLine::new(&target.to_string(), !args.connect.json, ui),
        forwards: Vec::new(),
    };
    let outcome = tokio::select! {
        outcome = tunnel.up(intents, args.max_retries.unwrap_or(FIRST_RETRIES)) => outcome,
        () = stay(args.connect.timeout) => Ok(()),
    };
    tunnel.supervisor.close().await;
    // What the end had to say.
    while let Ok(event) = tunnel.events.try_recv() {
        print(&event)?;
    }
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
    signals: Signals,
    /// Events as lines; none come where they are not wanted.
    events: mpsc::UnboundedReceiver<String>,
    line: StatusLine,
    forwards: Vec<ForwardHandle>,
}

impl Tunnel {
    /// Until a signal comes, which is a success, or there is no hope.
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
            }
            self.line.draw(&now, &self.forwards);
            if now.is_final() || (waiting.is_some() && now.failed_attempts > first_retries) {
                self.line.clear();
                return Err(now.last_error.as_ref().map_or_else(gone, Failure::from));
            }
            tokio::select! {
                _ = self.signals.next() => return Ok(()),
                changed = status.changed() => changed.map_err(|_| gone())?,
                Some(event) = self.events.recv() => print(&event)?,
                _ = tick.tick() => {}
            }
        }
    }

    /// All forwards, or none: a tunnel that lacks one is not what was asked for.
    async fn open(&mut self, intents: Vec<ForwardIntent>) -> Result<(), Failure> {
        let manager = self.supervisor.forward_manager();
        for intent in intents {
            if let Some(address) = exposed(&intent) {
                self.line.warn(&format!(
                    "{} {intent} listens on {address}: whoever can reach it can use the tunnel",
                    intent.option()
                ));
            }
            let opened = manager.forward(intent).await;
            let forward = opened.map_err(|error: Error| {
                self.line.clear();
                Failure::from(error)
            })?;
            self.line.say(&described(&forward));
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

fn print(event: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(format!("{event}\n").as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::output(&error))
}
