//! From operands to copies: which files go from where to where.

use std::collections::HashMap;
use std::ffi::OsString;

use sternline::proto::files::{Naming, Operand, base_name, host_names};
use sternline::proto::target::{Target, TargetList};
use sternline::proto::text::escape;

use crate::ui::Failure;

/// The hosts that a text selects; `None` where it is a plain list.
pub(super) type Selected = Result<Option<Vec<Target>>, Failure>;

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// All hosts, each once.
    pub(super) hosts: Vec<Target>,
    /// The copies, in the order of the operands and hosts.
    pub(super) copies: Vec<Copy>,
    /// What was said twice and is done once.
    pub(super) duplicates: Vec<Target>,
}

impl Plan {
    /// The host of each copy that it is about: of what goes from one host to many, or comes from many, that of the many.
    pub(super) fn subjects(&self) -> Vec<Option<&Target>> {
        let first = self.copies.first().and_then(|copy| copy.from);
        let from_one = self.copies.iter().all(|copy| copy.from == first);
        let subject = |copy: &Copy| match from_one {
            true => copy.to.or(copy.from),
            false => copy.from.or(copy.to),
        };
        let host = |copy| self.hosts.get(subject(copy)?);
        self.copies.iter().map(host).collect()
    }

    /// Whether a fleet does it: the same from this machine to each of several hosts, or from each of them to here under a name of its
    /// own.
    pub(super) fn is_for_fleet(&self) -> bool {
        let several = self.copies.len() > 1;
        let uploads = self.copies.iter().all(|copy| copy.from.is_none());
        several && (uploads || self.names_each_host())
    }

    fn names_each_host(&self) -> bool {
        let targets: Vec<Target> = self
            .copies
            .iter()
            .filter(|copy| copy.to.is_none())
            .filter_map(|copy| self.hosts.get(copy.from?).cloned())
            .collect();
        // What a fleet would name them.
        let names = host_names(&targets);
        let is_named = |(copy, name): (&Copy, &String)| match &copy.target {
            Goal::Path { host, .. } => host.as_ref() == Some(name),
            Goal::Stdout => false,
        };
        targets.len() == self.copies.len() && self.copies.iter().zip(&names).all(is_named)
    }
}

/// What goes from one place to another. A place is a host by its index, or this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) from: Option<usize>,
    pub(super) to: Option<usize>,
    pub(super) sources: Sources,
    pub(super) target: Goal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sources {
    Paths {
        first: Vec<u8>,
        more: Vec<Vec<u8>>,
    },
    /// Standard input.
    Stdin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    Path {
        path: Vec<u8>,
        /// It has to be a directory, because more than one operand goes there.
        directory: bool,
        /// The name of the host that the copy carries, because the same comes from others.
        host: Option<String>,
    },
    /// Standard output.
    Stdout,
}

/// Reads the operands and settles what goes where. `select` reads hosts, unless it leaves that to us.
pub(super) fn plan(files: &[OsString], select: impl Fn(&str) -> Selected) -> Result<Plan, Failure> {
    let operands = files.iter().map(|text| parse(text, &select));
    let mut operands = operands.collect::<Result<Vec<_>, _>>()?;
    let (Some(target), false) = (operands.pop(), operands.is_empty()) else {
        return Err(
            Failure::usage("there is nothing to copy, or nowhere to copy it to")
                .with_hint("write sternline cp SOURCE... TARGET"),
        );
    };
    check(&operands, &target)?;
    let mut hosts = Hosts::default();
    let sources: Vec<Vec<Option<usize>>> = operands.iter().map(|operand| hosts.add(operand)).collect();
    let names = host_names(&hosts.all);
    let targets = hosts.add(&target);
    let mut copies = Vec::new();
    for (operand, from) in operands.iter().zip(sources) {
        let content = match operand {
            Operand::Local(path) | Operand::Remote { path, .. } => Sources::Paths {
                first: path.clone(),
                more: Vec::new(),
            },
            Operand::Stream => Sources::Stdin,
        };
        let carries_host = meets_another(operand, &operands);
        for from in from {
            let host = from.filter(|_| carries_host).and_then(|from| names.get(from));
            let goal = match &target {
                Operand::Local(path) | Operand::Remote { path, .. } => Goal::Path {
                    path: path.clone(),
                    directory: operands.len() > 1,
                    host: host.cloned(),
                },
                Operand::Stream => Goal::Stdout,
            };
            for to in &targets {
                let copy = Copy {
                    from,
                    to: *to,
                    sources: content.clone(),
                    target: goal.clone(),
                };
                join(&mut copies, copy);
            }
        }
    }
    if target == Operand::Stream && copies.len() > 1 {
        return Err(
            Failure::usage("standard output takes what comes from one host only")
                .with_hint("name a directory as the target: each host gets an entry in it"),
        );
    }
    Ok(Plan {
        hosts: hosts.all,
        copies,
        duplicates: hosts.duplicates,
    })
}

/// The hosts of all operands, each once.
#[derive(Default)]
struct Hosts {
    all: Vec<Target>,
    index: HashMap<Target, usize>,
    duplicates: Vec<Target>,
}

impl Hosts {
    /// Where an operand is: on hosts, by their index, or on this machine.
    fn add(&mut self, operand: &Operand) -> Vec<Option<usize>> {
        let Operand::Remote { hosts, .. } = operand else {
            return vec![None];
        };
        self.duplicates.extend(hosts.duplicates.iter().cloned());
        let add = |target: &Target| {
            let index = *self.index.entry(target.clone()).or_insert_with(|| {
                self.all.push(target.clone());
                self.all.len() - 1
            });
            Some(index)
        };
        hosts.targets.iter().map(add).collect()
    }
}

fn parse(text: &OsString, select: impl Fn(&str) -> Selected) -> Result<Operand, Failure> {
    if let Some((hosts, path)) = Operand::split(text.as_encoded_bytes(), Naming::HERE)
        && let Some(targets) = select(hosts)?
    {
        // `web:!canary:/etc/app`, as it would stand in a selection elsewhere, would go to the canary as well.
        if let [b'!' | b'&', rest @ ..] = path
            && rest.contains(&b':')
        {
            let text = escape(&text.to_string_lossy());
            return Err(Failure::usage(format!(
                "the first colon in {text} ends the hosts, and what follows looks like more of a selection"
            ))
            .with_hint(
                "put commas between the terms, as in web,!canary:PATH; a path that begins so is written ./!PATH",
            ));
        }
        return Ok(Operand::Remote {
            hosts: TargetList {
                targets,
                duplicates: Vec::new(),
            },
            path: path.to_owned(),
        });
    }
    Operand::parse(text.as_encoded_bytes(), Naming::HERE)
        .map_err(|error| Failure::usage(error.to_string()).with_hint("write PATH, or [user@]HOSTS:PATH"))
}

/// Refuses what no copy can be made of.
fn check(sources: &[Operand], target: &Operand) -> Result<(), Failure> {
    let hosts = |operand: &Operand| match operand {
        Operand::Remote { hosts, .. } => hosts.targets.len(),
        Operand::Local(_) | Operand::Stream => 0,
    };
    let refuse = |message: &str, hint: &str| Err(Failure::usage(message).with_hint(hint));
    if hosts(target) == 0 && sources.iter().any(|source| hosts(source) == 0) {
        return refuse(
            "a source and the target are both on this machine",
            "name a host in front of a path, as in host:path; cp(1) copies on this machine",
        );
    }
    if sources.contains(&Operand::Stream) && sources.len() > 1 {
        return refuse(
            "standard input is the only source where it is one",
            "copy the other files by another call",
        );
    }
    Ok(())
}

/// Whether what an operand copies meets a copy of the same name from another host.
fn meets_another(operand: &Operand, operands: &[Operand]) -> bool {
    let Operand::Remote { hosts, path } = operand else {
        return false;
    };
    let same_name = |other: &&Operand| match other {
        Operand::Remote { path: other, .. } => base_name(other) == base_name(path),
        Operand::Local(_) | Operand::Stream => false,
    };
    let other_hosts = |other: &Operand| match other {
        Operand::Remote { hosts: other, .. } => other.targets != hosts.targets,
        Operand::Local(_) | Operand::Stream => false,
    };
    hosts.targets.len() > 1 || operands.iter().filter(same_name).any(other_hosts)
}

/// Adds a copy, to an earlier one between the same places if there is one. What carries its host stays by itself, because it gets a
/// name of its own.
fn join(copies: &mut Vec<Copy>, copy: Copy) {
    let same = copies.iter_mut().find(|other| {
        (other.from, other.to, &other.target) == (copy.from, copy.to, &copy.target)
            && matches!(copy.target, Goal::Stdout | Goal::Path { host: None, .. })
    });
    match (same.map(|other| &mut other.sources), copy.sources) {
        (Some(Sources::Paths { more, .. }), Sources::Paths { first, .. }) => more.push(first),
        (_, sources) => copies.push(Copy { sources, ..copy }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(operands: &str) -> Result<Plan, Failure> {
        let files: Vec<OsString> = operands.split(' ').map(Into::into).collect();
        plan(&files, |_| Ok(None))
    }

    /// Each copy as `FROM: SOURCES => TO: TARGET`, with what the target has to be.
    fn shown(operands: &str) -> Vec<String> {
        let plan = planned(operands).unwrap_or_else(|failure| panic!("{}", failure.headline()));
        let place = |place: Option<usize>| match place {
            Some(index) => format!("{}: ", plan.hosts[index]),
            None => String::new(),
        };
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let copy = |copy: &Copy| {
            let sources = match &copy.sources {
                Sources::Paths { first, more } => {
                    let paths = std::iter::once(first).chain(more);
                    paths.map(|path| text(path)).collect::<Vec<_>>().join(" ")
                }
                Sources::Stdin => "<stdin>".to_owned(),
            };
            let target = match &copy.target {
                Goal::Stdout => "<stdout>".to_owned(),
                Goal::Path {
                    path,
                    directory,
                    host,
                } => {
                    let directory = if *directory { ", a directory" } else { "" };
                    let host = host
                        .as_ref()
                        .map(|host| format!(", for {host}"))
                        .unwrap_or_default();
                    format!("{}{directory}{host}", text(path))
                }
            };
            format!("{}{sources} => {}{target}", place(copy.from), place(copy.to))
        };
        plan.copies.iter().map(copy).collect()
    }

    #[test]
    fn operands_become_copies() {
        for (operands, copies) in [
            ("a h:b", &["a => h: b"][..]),
            ("h:a b", &["h: a => b"]),
            ("a b h:dir", &["a b => h: dir, a directory"]),
            ("h:a h:b dir", &["h: a b => dir, a directory"]),
            (
                "h:a g:b dir",
                &["h: a => dir, a directory", "g: b => dir, a directory"],
            ),
            ("h:a g:b", &["h: a => g: b"]),
            (
                "a h:b g:dir",
                &["a => g: dir, a directory", "h: b => g: dir, a directory"],
            ),
            ("a h,g:b", &["a => h: b", "a => g: b"]),
            ("- h:a", &["<stdin> => h: a"]),
            ("- h,g:a", &["<stdin> => h: a", "<stdin> => g: a"]),
            ("h:a -", &["h: a => <stdout>"]),
            ("h:a h:b -", &["h: a b => <stdout>"]),
            // What would meet a copy from another host carries the name of its own.
            (
                "web-[1-2]:log .",
                &["web-1: log => ., for web-1", "web-2: log => ., for web-2"],
            ),
            (
                "web-[1-2]:log g:dir",
                &[
                    "web-1: log => g: dir, for web-1",
                    "web-2: log => g: dir, for web-2",
                ],
            ),
            (
                "h:x/log g:y/log dir",
                &[
                    "h: x/log => dir, a directory, for h",
                    "g: y/log => dir, a directory, for g",
                ],
            ),
            ("h:log h:log dir", &["h: log log => dir, a directory"]),
            (
                "scp://h:1/log scp://h:2/log dir",
                &[
                    "h:1: log => dir, a directory, for h_1",
                    "h:2: log => dir, a directory, for h_2",
                ],
            ),
            (
                "h,g:a h,g:b dir",
                &[
                    "h: a => dir, a directory, for h",
                    "g: a => dir, a directory, for g",
                    "h: b => dir, a directory, for h",
                    "g: b => dir, a directory, for g",
                ],
            ),
        ] {
            assert_eq!(shown(operands), copies, "{operands}");
        }
    }

    #[test]
    fn a_fleet_does_what_is_the_same_for_each_of_several_hosts() {
        for (operands, is_for_fleet) in [
            ("a web-[1-2]:b", true),
            ("a b web-[1-2]:dir", true),
            ("web-[1-2]:log .", true),
            ("a h:b", false),
            ("h:a g:b dir", false),
            ("h:a web-[1-2]:b", false),
            ("web-[1-2]:a h:b", false),
            ("a h:b web-[1-2]:dir", false),
            ("web-[1-2]:a web-[1-2]:b dir", false),
        ] {
            assert_eq!(
                planned(operands).unwrap().is_for_fleet(),
                is_for_fleet,
                "{operands}"
            );
        }
    }

    #[test]
    fn a_copy_is_about_the_host_that_there_are_many_of() {
        for (operands, subjects) in [
            ("a web-[1-2]:b", "web-1 web-2"),
            ("web-[1-2]:a b", "web-1 web-2"),
            ("web-[1-2]:a h:b", "web-1 web-2"),
            ("h:a web-[1-2]:b", "web-1 web-2"),
        ] {
            let plan = planned(operands).unwrap();
            let names: Vec<String> = plan
                .subjects()
                .into_iter()
                .map(|host| host.unwrap().to_string())
                .collect();
            assert_eq!(names.join(" "), subjects, "{operands}");
        }
    }

    #[test]
    fn a_host_named_twice_is_one() {
        let plan = planned("h,h:a h:b").unwrap();
        assert_eq!(
            (plan.hosts.len(), plan.duplicates.len(), plan.copies.len()),
            (1, 1, 1)
        );
    }

    #[test]
    fn a_selection_with_colons_is_no_path_that_goes_to_all_of_its_hosts() {
        let select = |hosts: &str| Ok(Some(vec![hosts.parse().unwrap()]));
        let planned = |target: &str| plan(&["a".into(), target.into()], select);
        for target in ["web:!canary:/etc/app", "web:&prod:dir"] {
            let failure = planned(target).map(|_| ()).expect_err(target);
            assert!(
                failure.headline().contains("looks like more of a selection"),
                "{}",
                failure.headline()
            );
        }
        for target in ["web:!important", "web:./!a:b", "web:a:!b"] {
            assert!(planned(target).is_ok(), "{target}");
        }
    }

    #[test]
    fn what_no_copy_can_be_made_of_is_refused_with_the_reason() {
        for (operands, words) in [
            ("h:a", "nothing to copy"),
            ("a b", "both on this machine"),
            ("h:a b c", "both on this machine"),
            ("- b", "both on this machine"),
            ("a -", "both on this machine"),
            ("- a h:", "standard input is the only source"),
            ("h,g:a -", "standard output takes what comes from one host only"),
            ("h:a g:a -", "standard output takes what comes from one host only"),
            ("a [x]:b", "the operand [x]:b names no host"),
        ] {
            let failure = planned(operands).expect_err(operands);
            assert!(failure.headline().contains(words), "{}", failure.headline());
        }
    }
}
