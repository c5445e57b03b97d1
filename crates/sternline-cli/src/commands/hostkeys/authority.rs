//! `sternline hostkeys add --from-ca`: an authority for hosts, without connecting to them.

use std::path::Path;
use std::process::ExitCode;

use sternline::host_key::{self, Recorded};
use sternline::proto::key::PublicKey;
use sternline::proto::known_hosts::lookup_name;
use sternline::proto::target::parse_targets;
use sternline::proto::text::escape;

use super::args::{AddArgs, print, record_path};
use crate::connect::Connector;
use crate::ui::{Failure, Ui};

pub(super) fn run(args: &AddArgs, key: &str, ui: &Ui) -> Result<ExitCode, Failure> {
    if args.connect.hosts.chooses() {
        return Err(Failure::usage(
            "--from-ca takes HOSTS as they are to stand in known_hosts, not from an inventory",
        )
        .with_hint("leave out -I and --limit, and name addresses or patterns such as *.example.com"));
    }
    let key = read_key(key)?;
    let mut connector = Connector::new(&args.connect, true, ui)?;
    let patterns = patterns(&args.hosts, args.connect.port)?;
    let path = record_path(&connector.any_host()?)?;
    let recorded = host_key::record_authority(&path, &patterns, &key).map_err(|error| {
        Failure::local(error.to_string())
            .with_hint("name hosts or patterns such as *.example.com, and a file you may write")
    })?;
    let shown = format!("{} {}", key.algorithm(), key.fingerprint());
    match recorded {
        Recorded::Added(place) => print(&format!(
            "recorded the authority {shown} for {patterns} in {place}"
        ))?,
        Recorded::AlreadyThere(place) => {
            print(&format!(
                "the authority {shown} stands for {patterns} in {place} already"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The key in a file, or in a line such as `ssh-ed25519 AAAA... comment`.
fn read_key(text: &str) -> Result<PublicKey, Failure> {
    let content = match std::fs::read_to_string(Path::new(text)) {
        Ok(content) => content,
        Err(_) if text.contains(' ') => text.to_owned(),
        Err(error) => {
            return Err(Failure::usage(format!(
                "cannot read the authority's key {}: {error}",
                escape(text)
            ))
            .with_hint("name its public key file, or give a line such as 'ssh-ed25519 AAAA...'"));
        }
    };
    content
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            PublicKey::from_text(words.next()?, words.next()?).ok()
        })
        .ok_or_else(|| {
            Failure::usage("the authority's key is not a public key")
                .with_hint("give the public key (the .pub file), not the private one or a certificate")
        })
}

/// HOSTS as known_hosts writes them. What holds a wildcard is a pattern already; the rest are hosts and ranges.
fn patterns(hosts: &str, port: Option<u16>) -> Result<String, Failure> {
    let refused = |error: &dyn std::fmt::Display| {
        Failure::usage(error.to_string()).with_hint("name hosts, ranges, or patterns such as *.example.com")
    };
    if hosts.contains(['*', '?', '!']) {
        return Ok(hosts.to_owned());
    }
    let targets = parse_targets(hosts).map_err(|error| refused(&error))?.targets;
    let names = targets
        .iter()
        .map(|target| lookup_name(target.host(), target.port().or(port).unwrap_or(22)));
    Ok(names.collect::<Vec<_>>().join(","))
}
