//! `sternline demo`: the main job on three servers of its own, with nothing installed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sternline::auth::{AuthConfig, PrivateKey};
use sternline::config::Env;
use sternline::fleet::Outcome;
use sternline::host_key::KnownHosts;
use sternline::proto::text::escape;
use sternline::{Connection, ConnectionBuilder, Error, Fleet};
use sternline_server::{Credential, Reply, Server};

use crate::commands::doctor::{examine, show};
use crate::ui::report::{Report, time};
use crate::ui::{Failure, Ui};

const NOTES: &str = "\
It starts three SSH servers on loopback, with keys that are made in memory and forgotten. Nothing is installed, no file \
is read or written, and your SSH keys and known hosts are not touched. Nothing real is run on the servers.";

/// Show what Sternline does, on three servers of its own, with nothing installed.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {}

const USER: &str = "demo";
const HOSTS: [&str; 3] = ["web-1", "web-2", "web-3"];
const COMMAND: &str = "systemctl is-active nginx";

pub(crate) async fn run(_args: Args, _ui: &Ui) -> Result<ExitCode, Failure> {
    let report = Report::new();
    let site = Site::start().await?;

    report.heading("Three SSH servers on loopback, while this runs, with keys made in memory")?;
    for (name, server) in site.hosts() {
        let address = server.addr().to_string();
        report.row(
            &[("", 0), (name, 5), (&address, 15)],
            &[server.host_key().fingerprint()],
        )?;
    }

    show_many(&report, &site).await?;
    show_one(&report, &site).await?;
    show_failure(&report, &site).await?;
    site.stop().await;
    show_next(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// The servers, and what a client needs to know of them.
#[derive(Clone)]
struct Site {
    servers: Vec<Server>,
    known_hosts: KnownHosts,
    key: PrivateKey,
    env: Env,
}

impl Site {
    async fn start() -> Result<Self, Failure> {
        let key = PrivateKey::generate()?;
        let public_line = format!("{} {}", key.public().algorithm(), key.public().to_base64());
        let credential = Credential::public_key(&public_line).map_err(local)?;
        let mut servers = Vec::new();
        for name in HOSTS {
            let answer = if name == "web-3" {
                Reply::new("inactive\n", "", 3)
            } else {
                Reply::stdout("active\n")
            };
            let server = Server::builder()
                .user(USER, credential.clone())
                .command(COMMAND, answer)
                .command("true", Reply::stdout(""))
                .bind()
                .await
                .map_err(local)?;
            servers.push(server);
        }
        let lines: Vec<String> = servers.iter().map(Server::known_hosts_line).collect();
        // No home directory and no agent: nothing of the user's is looked at.
        let mut env = Env::default();
        env.temp_dir = std::env::temp_dir();
        Ok(Self {
            servers,
            known_hosts: KnownHosts::from_bytes("known_hosts", lines.join("\n").as_bytes()),
            key,
            env,
        })
    }

    fn hosts(&self) -> impl Iterator<Item = (&'static str, &Server)> {
        HOSTS.into_iter().zip(&self.servers)
    }

    /// How to connect to one of the hosts: its name leads to its port on loopback, its key is known, ours is given.
    fn configure(&self, host: &str, builder: ConnectionBuilder) -> ConnectionBuilder {
        let port = self
            .hosts()
            .find(|(name, _)| *name == host)
            .map(|(_, server)| server.port());
        builder
            .username(USER)
            .address("127.0.0.1")
            .port(port.unwrap_or_default())
            .auth([AuthConfig::key_data(self.key.clone())])
            .known_hosts_parsed(self.known_hosts.clone(), None)
            .env(self.env.clone())
    }

    async fn connect(&self, host: &str) -> sternline::Result<Connection> {
        self.configure(host, Connection::builder(host)).connect().await
    }

    async fn stop(&self) {
        for server in &self.servers {
            server.shutdown().await;
        }
    }
}

fn local(error: impl std::error::Error) -> Failure {
    Failure::local(format!("the demo's servers do not start: {error}"))
}

async fn show_many(report: &Report, site: &Site) -> Result<(), Failure> {
    report.line("")?;
    report.heading(&format!("$ sternline ssh {} '{COMMAND}'", HOSTS.join(",")))?;
    let configuring = site.clone();
    let fleet = Fleet::new(HOSTS).configure(move |host, builder| configuring.configure(host, builder));
    let started = Instant::now();
    let outcomes = fleet.exec(COMMAND).await?;
    let took = started.elapsed();
    // As `sternline ssh` shows it: the output, then what failed, then the sum.
    let mut failed = Vec::new();
    for Outcome {
        host, result, stdout, ..
    } in &outcomes
    {
        match result {
            Ok(result) => {
                for line in stdout.text().await?.lines() {
                    report.line(&format!("{host}: {}", escape(line)))?;
                }
                if !result.ok() {
                    failed.push(format!("{host}: {}", result.status));
                }
            }
            Err(error) => failed.push(format!("{host}: {error}")),
        }
    }
    for failure in &failed {
        report.line(&format!("{} {failure}", report.bad("failed:")))?;
    }
    let hosts = outcomes.len();
    report.line(&format!(
        "{hosts} hosts: {} ok, {} failed",
        hosts - failed.len(),
        failed.len()
    ))?;
    report.line("")?;
    report.line(&format!(
        "Three TCP connections, three host keys verified, three logins: {}.",
        time(took)
    ))
}

async fn show_one(report: &Report, site: &Site) -> Result<(), Failure> {
    report.line("")?;
    report.heading("$ sternline doctor web-1")?;
    let connecting = site.configure("web-1", Connection::builder("web-1"));
    let finding = examine(connecting, Duration::from_secs(10)).await;
    show(report, &finding)?;
    finding.error.map_or(Ok(()), |error| Err(error.into()))
}

/// What an error looks like: the last server is stopped, and then connected to.
async fn show_failure(report: &Report, site: &Site) -> Result<(), Failure> {
    if let Some((_, server)) = site.hosts().last() {
        server.shutdown().await;
    }
    report.line("")?;
    report.heading("$ sternline ssh web-3 uptime        # web-3 has been stopped")?;
    match site.connect("web-3").await {
        Ok(_) => Err(Failure::local("a stopped server still takes connections")),
        Err(error) => show_error(report, &error),
    }
}

fn show_error(report: &Report, error: &Error) -> Result<(), Failure> {
    let phase = error
        .phase()
        .map(|phase| format!(" (phase: {phase})"))
        .unwrap_or_default();
    let hint = error.hint();
    report.row(
        &[],
        &[
            format!("{} {error}{phase}", report.bad("error:")),
            format!("hint: {hint}"),
        ],
    )
}

fn show_next(report: &Report) -> Result<(), Failure> {
    // As it was called: somebody who has just built it has no `sternline` in the path.
    let this = std::env::args().next().unwrap_or_else(|| "sternline".to_owned());
    report.line("")?;
    report.heading("What to try next")?;
    for (what, command) in [
        ("a command on a host of yours", "ssh USER@HOST uptime"),
        ("the same on several", "ssh USER@HOST,USER@HOST uptime"),
        ("each phase of a connection, and what to mend", "doctor USER@HOST"),
        ("an SSH server to try things on", "serve --shell"),
    ] {
        report.line(&format!("  {what}"))?;
        report.line(&format!("    {} {command}", escape(&this)))?;
    }
    Ok(())
}
