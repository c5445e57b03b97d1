//! Sternline, on either flavour of the runtime.

use std::error::Error;
use std::time::{Duration, Instant};

use sternline::exec::StreamData;
use sternline::guest::{GuestClient, GuestCommand};
use sternline::{AuthConfig, Connection, ShellSession};
use tokio::runtime::{Builder, Runtime};

use super::serve::{Client, Target};
use crate::work::Work;

pub(super) struct Sternline {
    runtime: Runtime,
    target: Target,
    connection: Connection,
    shell: Option<ShellSession>,
    guest: GuestClient,
}

impl Sternline {
    pub(super) fn current_thread(target: Target) -> Result<Self, Box<dyn Error>> {
        Self::start(Builder::new_current_thread(), target)
    }

    pub(super) fn multi_thread(target: Target) -> Result<Self, Box<dyn Error>> {
        Self::start(Builder::new_multi_thread(), target)
    }

    fn start(mut builder: Builder, target: Target) -> Result<Self, Box<dyn Error>> {
        let runtime = builder.enable_all().build()?;
        let connection = runtime.block_on(connect(&target))?;
        let guest = GuestClient::builder("127.0.0.1")
            .port(target.port)
            .user(target.user.clone())
            .key_path(&target.key)
            .known_hosts(&target.known_hosts)
            .build()?;
        Ok(Self {
            runtime,
            target,
            connection,
            shell: None,
            guest,
        })
    }
}

impl Client for Sternline {
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn work(&mut self, work: Work, count: u32) -> Result<Duration, Box<dyn Error>> {
        let Self {
            runtime,
            target,
            connection,
            shell,
            guest,
        } = self;
        Ok(runtime.block_on(async {
            match work {
                Work::Exec => warm(connection, count).await,
                Work::GuestRun => in_guest(guest, count).await,
                Work::Connect => cold(target, count).await,
                Work::Stream => stream(connection, count).await,
                Work::GuestBuiltin
                | Work::GuestSubshell
                | Work::GuestKept
                | Work::GuestProgram
                | Work::GuestOutput => {
                    let shell = match shell {
                        Some(shell) => shell,
                        none => none.insert(connection.shell_session().await?),
                    };
                    in_shell(shell, work, count).await
                }
            }
        })?)
    }
}

/// A connection as every peer makes it.
pub(crate) async fn connect(target: &Target) -> sternline::Result<Connection> {
    Connection::builder(format!("{}@127.0.0.1:{}", target.user, target.port))
        .known_hosts([target.known_hosts.clone()])
        .auth([AuthConfig::key(&target.key)])
        .connect()
        .await
}

async fn warm(connection: &Connection, count: u32) -> sternline::Result<Duration> {
    let started = Instant::now();
    for _ in 0..count {
        connection.exec("true").await?.success()?;
    }
    Ok(started.elapsed())
}

async fn in_guest(guest: &GuestClient, count: u32) -> sternline::Result<Duration> {
    // Connected beforehand, as everybody is.
    guest.run(GuestCommand::new("true").raw()).await?;
    let started = Instant::now();
    for _ in 0..count {
        guest.run(GuestCommand::new("true").raw()).await?.success()?;
    }
    Ok(started.elapsed())
}

async fn in_shell(shell: &ShellSession, work: Work, count: u32) -> sternline::Result<Duration> {
    const MEBIBYTE: usize = 1024 * 1024;
    let started = Instant::now();
    for _ in 0..count {
        let result = match work {
            Work::GuestSubshell => shell.run("test -d /").await?,
            Work::GuestKept => shell.run_and_keep("test -d /").await?,
            Work::GuestProgram => shell.run("/bin/true").await?,
            Work::GuestOutput => shell.run("head -c 1048576 /dev/zero").await?,
            _ => shell.run(":").await?,
        };
        let result = result.success()?;
        if work == Work::GuestOutput && result.stdout.len() != MEBIBYTE {
            return Err(incomplete(result.stdout.len() as u64));
        }
    }
    Ok(started.elapsed())
}

async fn cold(target: &Target, count: u32) -> sternline::Result<Duration> {
    let mut time = Duration::ZERO;
    for _ in 0..count {
        let started = Instant::now();
        let connection = connect(target).await?;
        connection.exec("true").await?.success()?;
        time += started.elapsed();
        connection.close().await;
    }
    Ok(time)
}

async fn stream(connection: &Connection, mebibytes: u32) -> Result<Duration, sternline::Error> {
    let started = Instant::now();
    let mut output = connection
        .stream_exec(format!("head -c {mebibytes}M /dev/zero"))
        .await?;
    let mut received = 0;
    while let Some(event) = output.next().await {
        if let StreamData::Stdout(bytes) = event.data {
            received += bytes.len() as u64;
        }
    }
    let elapsed = started.elapsed();
    if received != u64::from(mebibytes) * 1024 * 1024 {
        return Err(incomplete(received));
    }
    Ok(elapsed)
}

fn incomplete(received: u64) -> sternline::Error {
    sternline::Error::new(
        sternline::ErrorKind::NoExitStatus,
        format!("only {received} bytes of output came"),
    )
}
