//! What is mounted where, in which order.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::HostFacts;
use super::parts::{Bind, Tmpfs};
use super::path::{below, link_target, split, under};
use super::pattern::{Slash, is_literal, matches};
use super::probe::{PROGRAM_DIRECTORIES, TOP_DIRECTORIES};
use super::profile::SandboxProfile;
use super::rules::allows;

/// Mount points of single programs are empty files, and there are never many.
const HIDDEN_BYTES: u64 = 1 << 20;

/// One thing that bubblewrap puts into the sandbox's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mount {
    Bind(Bind),
    Tmpfs(Tmpfs),
    Directory(String),
    /// What is in the link, and where it is.
    Link(String, String),
}

impl Mount {
    pub(super) fn target(&self) -> &str {
        match self {
            Self::Bind(bind) => &bind.target,
            Self::Tmpfs(tmpfs) => &tmpfs.path,
            Self::Directory(path) | Self::Link(_, path) => path,
        }
    }
}

/// What the sandbox's file system is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounts {
    /// In the order in which they are made: whatever a mount stands in comes before it.
    pub(super) list: Vec<Mount>,
    /// What becomes read-only when everything is in its place.
    pub(super) sealed: Vec<String>,
    /// The directories of programs that can be seen, each with the names of what can be run there.
    pub(super) programs: BTreeMap<String, BTreeSet<String>>,
}

pub(super) fn plan(profile: &SandboxProfile, facts: &HostFacts) -> Mounts {
    let mut list = own_mounts(profile, facts);
    let mut sealed = Vec::new();
    let mut programs = BTreeMap::new();
    let resolved: Vec<(&String, String)> = facts
        .links
        .keys()
        .map(|link| (link, resolve(link, &facts.links)))
        .collect();
    let path = search_path(profile, facts);
    for (visible, directory, names) in program_directories(&list, facts) {
        let whole = format!("{visible}/*");
        if profile.allows_any_command() || profile.allowed_commands().contains(&whole) {
            programs.insert(visible, names.clone());
            continue;
        }
        let shown = allowed_names(profile, &resolved, &path, &visible, names);
        list.push(Mount::Tmpfs(Tmpfs::new(&visible).size(HIDDEN_BYTES)));
        let deeper = profile.allowed_commands().iter().filter_map(|pattern| {
            let rest = below(pattern, &visible)
                .filter(|rest| is_literal(pattern) && rest.matches('/').count() > 1)?;
            Some((format!("{directory}{rest}"), pattern.clone()))
        });
        let named = shown
            .iter()
            .map(|name| (format!("{directory}/{name}"), format!("{visible}/{name}")));
        let binds: Vec<(String, String)> = named.chain(deeper).collect();
        for (source, target) in binds {
            // A profile may show just this program itself.
            if !list.iter().any(|mount| mount.target() == target) {
                list.push(Mount::Bind(Bind::new(source, target).optional()));
            }
        }
        sealed.push(visible.clone());
        programs.insert(visible, shown);
    }
    list.sort_by(|a, b| a.target().split('/').cmp(b.target().split('/')));
    Mounts {
        list,
        sealed,
        programs,
    }
}

/// What the profile itself asks for, as it is on this host.
fn own_mounts(profile: &SandboxProfile, facts: &HostFacts) -> Vec<Mount> {
    let is_shown = |path: &str| {
        let same = |bind: &&Bind| bind.source == bind.target && !facts.links.contains_key(&bind.source);
        profile
            .binds()
            .iter()
            .filter(same)
            .any(|bind| below(path, &bind.source).is_some())
    };
    let mut list = Vec::new();
    for bind in profile.binds() {
        if let Some(text) = facts.links.get(&bind.source) {
            let leads_to = resolve(&bind.source, &facts.links);
            // The link itself, where what it leads to is there anyway: /bin and /usr/bin are then one directory.
            if bind.read_only && bind.source == bind.target && is_shown(&leads_to) {
                list.push(Mount::Link(text.clone(), bind.target.clone()));
            } else {
                let source = leads_to;
                list.push(Mount::Bind(Bind {
                    source,
                    ..bind.clone()
                }));
            }
            continue;
        }
        let is_missing =
            TOP_DIRECTORIES.contains(&bind.source.as_str()) && !facts.directories.contains(&bind.source);
        if !(bind.optional && is_missing) {
            list.push(Mount::Bind(bind.clone()));
        }
    }
    list.extend(profile.tmpfs().iter().cloned().map(Mount::Tmpfs));
    let is_mounted = |list: &[Mount], path: &str| list.iter().any(|mount| mount.target() == path);
    for path in &profile.extras.directories {
        if !is_mounted(&list, path) {
            list.push(Mount::Directory(path.clone()));
        }
    }
    for (text, path) in &profile.extras.symlinks {
        if !is_mounted(&list, path) {
            list.push(Mount::Link(text.clone(), path.clone()));
        }
    }
    list
}

/// The directories of programs that these mounts show: where, which one of the host's, and the names in it.
fn program_directories<'a>(
    list: &[Mount],
    facts: &'a HostFacts,
) -> Vec<(String, &'a String, &'a BTreeSet<String>)> {
    let mut found = Vec::new();
    for (index, mount) in list.iter().enumerate() {
        let Mount::Bind(bind) = mount else { continue };
        for (directory, names) in &facts.programs {
            let Some(rest) = below(directory, &bind.source) else {
                continue;
            };
            let visible = under(&bind.target, rest);
            // The innermost mount is what is seen; of two on one path there are none.
            let innermost = list
                .iter()
                .enumerate()
                .filter(|(_, other)| below(&visible, other.target()).is_some())
                .max_by_key(|(_, other)| other.target().len());
            if innermost.is_some_and(|(other, _)| other == index) {
                found.push((visible, directory, names));
            }
        }
    }
    found
}

/// The names in a directory that some pattern allows: `resolved` has where each link leads, and `path` where bare names are looked for.
fn allowed_names(
    profile: &SandboxProfile,
    resolved: &[(&String, String)],
    path: &[String],
    visible: &str,
    names: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut spellings = vec![visible];
    spellings.extend(
        resolved
            .iter()
            .filter(|(_, directory)| directory == visible)
            .map(|(link, _)| link.as_str()),
    );
    let on_path = path.iter().any(|directory| directory == visible);
    let is_allowed = |name: &&String| {
        profile
            .allowed_commands()
            .iter()
            .any(|pattern| match pattern.contains('/') {
                true => spellings
                    .iter()
                    .any(|directory| allows(pattern, &format!("{directory}/{name}"))),
                false => on_path && matches(pattern, name, Slash::Apart),
            })
    };
    names.iter().filter(is_allowed).cloned().collect()
}

/// The directories in which a bare name is looked for, with links resolved.
pub(super) fn search_path(profile: &SandboxProfile, facts: &HostFacts) -> Vec<String> {
    let entries = profile.path().split(':').filter(|entry| entry.starts_with('/'));
    let mut found: Vec<String> = Vec::new();
    for directory in entries.map(|entry| resolve(entry.trim_end_matches('/'), &facts.links)) {
        if !found.contains(&directory) {
            found.push(directory);
        }
    }
    found
}

/// A path with the links on it replaced by what they lead to.
pub(super) fn resolve(path: &str, links: &BTreeMap<String, String>) -> String {
    let mut path = path.to_owned();
    // Links that lead in a circle lead nowhere; what is not resolved is not found.
    for _ in 0..16 {
        let on_the_way = links
            .iter()
            .find_map(|(link, text)| Some((link_target(link, text)?, below(&path, link)?)));
        match on_the_way {
            Some((target, rest)) => path = under(&target, rest),
            None => break,
        }
    }
    path
}

/// Whether the host has a program where the sandbox looks for it; `None` where that is not known.
pub(super) fn has_program(
    mounts: &Mounts,
    profile: &SandboxProfile,
    facts: &HostFacts,
    program: &str,
) -> Option<bool> {
    let directories = match program.contains('/') {
        true => vec![resolve(split(program)?.0, &facts.links)],
        false => search_path(profile, facts),
    };
    let name = program.rsplit('/').next()?;
    let mut unknown = false;
    for directory in &directories {
        match mounts.programs.get(directory) {
            Some(names) if names.contains(name) => return Some(true),
            Some(_) => {}
            // The probe has looked: it is not there, or not shown.
            None if PROGRAM_DIRECTORIES.contains(&directory.as_str()) => {}
            None => {
                unknown |= mounts
                    .list
                    .iter()
                    .any(|mount| below(directory, mount.target()).is_some())
            }
        }
    }
    (!unknown).then_some(false)
}
