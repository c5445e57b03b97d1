//! What the command line looks like as a whole.

use clap::{ArgAction, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    completions, config, cp, demo, doctor, evidence, history, hostkeys, hosts, man, sandbox, serve, ssh,
    tunnel, wait,
};
#[cfg(feature = "script")]
use crate::commands::{eval, repl, run, test, validate, watch};
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
    Sandbox(sandbox::Args),
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
    #[cfg(feature = "script")]
    Run(run::Args),
    #[cfg(feature = "script")]
    #[command(visible_alias = "exec")]
    Eval(eval::Args),
    #[cfg(feature = "script")]
    Test(test::Args),
    #[cfg(feature = "script")]
    Repl(repl::Args),
    #[cfg(feature = "script")]
    Validate(validate::Args),
    #[cfg(feature = "script")]
    Watch(watch::Args),
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
            Self::Sandbox(args) => args.connect()?,
            Self::Hosts(_)
            | Self::Config(_)
            | Self::Serve(_)
            | Self::Demo(_)
            | Self::Evidence(_)
            | Self::History(_)
            | Self::Completions(_)
            | Self::Man(_) => return None,
            #[cfg(feature = "script")]
            Self::Run(_)
            | Self::Eval(_)
            | Self::Test(_)
            | Self::Repl(_)
            | Self::Validate(_)
            | Self::Watch(_) => return None,
        };
        Some(connect.recorded.clone())
    }
}

/// The verbs as the help lists them.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Connect",
        &["ssh", "sandbox", "tunnel", "wait", "hosts", "hostkeys"],
    ),
    ("Files", &["cp"]),
    #[cfg(feature = "script")]
    ("Scripts", &["run", "eval", "test", "repl", "validate", "watch"]),
    ("Diagnose", &["doctor", "config", "history", "evidence"]),
    ("Serve", &["serve", "demo"]),
    ("This program", &["completions", "man", "help"]),
];

/// What `help` does: the parser makes that verb itself.
const HELP: &str = "Print this message, or the help of a command";

/// The command line, with a help that lists its verbs in groups.
pub(crate) fn command() -> Command {
    let command = Cli::command();
    let list = list(&command);
    let header = command.get_styles().get_header();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{list}\n{header}Options:{header:#}\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

/// Reads the command line.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

fn list(command: &Command) -> String {
    let header = command.get_styles().get_header();
    let literal = command.get_styles().get_literal();
    let width = GROUPS
        .iter()
        .flat_map(|(_, verbs)| *verbs)
        .map(|verb| shown(command, verb).len())
        .max()
        .unwrap_or_default();
    let mut list = String::new();
    for (title, verbs) in GROUPS {
        list.push_str(&format!("\n{header}{title}:{header:#}\n"));
        for verb in *verbs {
            let about = command.find_subcommand(verb).and_then(Command::get_about);
            let about = about.map_or_else(|| HELP.to_owned(), ToString::to_string);
            list.push_str(&format!(
                "  {literal}{:width$}{literal:#}  {about}\n",
                shown(command, verb)
            ));
        }
    }
    list
}

/// A verb with the other names that it has.
fn shown(command: &Command, verb: &str) -> String {
    let aliases = command
        .find_subcommand(verb)
        .into_iter()
        .flat_map(Command::get_visible_aliases);
    std::iter::once(verb)
        .chain(aliases)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_stands_in_the_help_once() {
        let command = command();
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| *verbs).copied().collect();
        listed.retain(|verb| *verb != "help");
        listed.sort_unstable();
        let mut verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        verbs.sort_unstable();
        assert_eq!(listed, verbs);
    }

    #[test]
    fn the_command_line_is_well_formed_and_its_help_has_groups() {
        let mut command = command();
        command.clone().debug_assert();
        let help = command.render_help().to_string();
        for line in ["Connect:", "Files:", "Diagnose:", "Serve:", "Options:"] {
            assert!(help.lines().any(|shown| shown == line), "{line}\n{help}");
        }
    }
}
