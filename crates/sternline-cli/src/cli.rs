//! What the command line looks like as a whole.

use clap::{ArgAction, Parser, Subcommand};

use crate::commands::{
    completions, config, cp, demo, doctor, evidence, history, hostkeys, hosts, man, serve, ssh, tunnel, wait,
};
use crate::connect::Evidence;

/// Run commands over SSH, on one host or many.
#[derive(Debug, Parser)]
#[command(name = "sternline", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Print no warnings, only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Show phases and events on standard error; twice: more of our own messages, three times: the protocol crate's too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Ssh(ssh::Args),
    Cp(cp::Args),
    Tunnel(tunnel::Args),
    Hosts(hosts::Args),
    /// List, record and remove the keys by which hosts are known
    Hostkeys(hostkeys::Args),
    /// Run the embedded SSH server
    Serve(serve::Args),
    /// Show what Sternline does, on servers of its own, with nothing installed
    Demo(demo::Args),
    /// Show each phase of a connection, and how to mend what fails
    Doctor(doctor::Args),
    /// Show, explain and compare what was recorded of a session
    Evidence(evidence::Args),
    History(history::Args),
    /// Wait until a host accepts logins
    Wait(wait::Args),
    /// Show what ssh_config and the command line come to for a host
    Config(config::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Write the manual pages into a directory
    Man(man::Args),
}

impl Verb {
    /// What is recorded for `--evidence`, by a verb that connects.
    pub(crate) fn evidence(&self) -> Option<Evidence> {
        let connect = match self {
            Self::Ssh(args) => &args.connect,
            Self::Cp(args) => &args.connect,
            Self::Tunnel(args) => &args.connect,
            Self::Hostkeys(args) => args.connect()?,
            Self::Doctor(args) => &args.connect,
            Self::Wait(args) => &args.connect,
            Self::Hosts(_)
            | Self::Config(_)
            | Self::Serve(_)
            | Self::Demo(_)
            | Self::Evidence(_)
            | Self::History(_)
            | Self::Completions(_)
            | Self::Man(_) => return None,
        };
        Some(connect.recorded.clone())
    }
}
