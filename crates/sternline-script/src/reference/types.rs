//! The values that scripts get from functions.
//!
//! What a value has beside its methods is known to the value alone, so it is written here once more, with what it means.

use starlark::docs::DocType;
use starlark::values::StarlarkValue;

use crate::modules::{base64, csv, fs, hash, inventory, json, log, os, regexp, retry, table, time, yaml};
use crate::{outcome, ssh};

/// A type of values.
pub(crate) struct KnownType {
    /// As `type(value)` gives it.
    pub(crate) name: String,
    /// Its methods.
    pub(crate) docs: DocType,
    /// What it has beside its methods, and what that is.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// What its methods return, where that depends on what the script gave, and the code does not tell.
    pub(crate) returns: &'static [(&'static str, &'static str)],
    /// Whether each of its methods has a `try_` form.
    pub(crate) has_try: bool,
}

fn known<T: StarlarkValue<'static>>(fields: &'static [(&'static str, &'static str)]) -> KnownType {
    KnownType {
        name: T::TYPE.to_owned(),
        docs: DocType::from_starlark_value::<T>(),
        fields,
        returns: &[],
        has_try: true,
    }
}

impl KnownType {
    fn returning(mut self, returns: &'static [(&'static str, &'static str)]) -> Self {
        self.returns = returns;
        self
    }

    fn without_try(mut self) -> Self {
        self.has_try = false;
        self
    }
}

/// All of them, as far as they are described.
pub(crate) fn types() -> Vec<KnownType> {
    let mut types = of_ssh();
    types.extend([
        known::<fs::path::PathValue>(&[]),
        known::<os::ExecResult>(&[
            (
                "ok",
                "Whether its status is 0. The value itself counts as true then, too.",
            ),
            ("stdout", "Its standard output."),
            ("stderr", "Its standard error."),
            ("code", "Its exit status; -1 where it did not start or was ended."),
            ("exit_code", "The same."),
            ("error", "Why it is not ok; an empty text where it is."),
        ]),
        known::<table::Table>(&[
            ("headers", "The names of its columns."),
            ("rows", "Its rows, each a list of texts."),
            ("row_count", "How many rows it has."),
        ])
        .without_try(),
        known::<inventory::Inventory>(&[
            ("items", "Its hosts, each a dict."),
            ("count", "How many there are."),
            ("names", "Their names."),
        ]),
        known::<csv::CsvFile>(&[]),
        known::<csv::CsvWriter>(&[]),
        known::<hash::Hash>(&[("path", "The file, if it is one.")]),
        known::<base64::Base64>(&[("path", "The file, if it is one.")]),
        known::<regexp::Pattern>(&[]),
        known::<regexp::Match>(&[]),
        known::<outcome::FrozenOutcome>(&[
            (
                "ok",
                "Whether it went well. The value itself counts as true then, too.",
            ),
            ("value", "What the function returned; None where it failed."),
            ("error", "Why it failed; an empty text where it did not."),
            (
                "results",
                "Of a call that could not work on all hosts: the results of all of them. Otherwise the value.",
            ),
            ("failed", "Of such a call: the results of the hosts that failed. Otherwise an empty list."),
        ]),
        known::<json::JsonFile>(&[("path", "The path, as it was given.")]),
        known::<json::FrozenJsonWriter>(&[("data", "The value to be written.")]),
        known::<yaml::YamlFile>(&[("path", "The path, as it was given.")]),
        known::<yaml::FrozenYamlWriter>(&[("data", "The value to be written.")]),
        known::<log::Logger>(&[
            ("level", "From which level on lines are written."),
            ("format", "How they are written."),
            ("output", "Where they go."),
        ])
        .without_try(),
        known::<retry::FrozenRetryResult>(&[
            (
                "ok",
                "Whether a call succeeded. The value itself counts as true then, too.",
            ),
            (
                "value",
                "What the function returned, out of its `Result` if it was one.",
            ),
            ("error", "Why the last call failed; an empty text where none did."),
            ("attempts", "How many calls were made."),
            ("elapsed", "How long all of it took, such as 1.5s."),
            ("errors", "Why each call failed that did."),
        ]),
        known::<time::Moment>(&[
            ("year", "Such as 2026."),
            ("month", "From 1 to 12."),
            ("day", "Of the month, from 1."),
            ("hour", "From 0 to 23."),
            ("minute", "From 0 to 59."),
            ("second", "From 0 to 59."),
            ("nanosecond", "Of the second."),
            ("weekday", "0 is Sunday."),
            ("yearday", "From 1."),
            ("unix", "Seconds since the beginning of 1970."),
            ("unix_nano", "Nanoseconds since then."),
        ])
        .without_try(),
        known::<time::Length>(&[
            ("hours", "All of it in hours."),
            ("minutes", "All of it in minutes."),
            ("seconds", "All of it in seconds."),
            ("milliseconds", "All of it in milliseconds, whole ones."),
            ("nanoseconds", "All of it in nanoseconds."),
        ])
        .without_try(),
    ]);
    types.sort_by(|one, other| one.name.cmp(&other.name));
    types
}

fn of_ssh() -> Vec<KnownType> {
    vec![
        known::<ssh::Client>(&[]).returning(&[
            ("exec", "list[SSHResult]"),
            ("script", "list[SSHResult]"),
            ("upload", "list[SSHTransferResult]"),
            ("download", "list[SSHTransferResult]"),
        ]),
        known::<ssh::SshResult>(&[
            ("host", "The host, as the client calls it."),
            ("ok", "Whether the exit status is 0. The value itself counts as true then, too."),
            ("code", "The exit status: 128 and the signal's number after a signal, -1 where the command did not run to its end."),
            ("stdout", "What it wrote to its standard output; what is not UTF-8 becomes U+FFFD."),
            ("stderr", "What it wrote to its standard error, likewise."),
            ("stdout_bytes", "Its standard output, byte for byte."),
            ("stderr_bytes", "Its standard error, byte for byte."),
            ("error", "Why the host could not be worked on; an empty text where it could."),
            ("signal", "The signal that ended the command, such as TERM; else an empty text."),
            ("skipped", "Whether nothing was done because others had failed before."),
            ("dry_run", "Whether nothing was done because it was only to be told."),
            ("duration", "How long it took, in seconds."),
        ])
        .without_try(),
        known::<ssh::SshTransferResult>(&[
            ("host", "The host, as the client calls it."),
            ("ok", "Whether the file is in its place. The value itself counts as true then, too."),
            ("bytes", "How many bytes were moved."),
            ("src", "Where the file comes from, as it was named."),
            ("dst", "Where it is now; of a download with the host's name, or under the directory."),
            ("changed", "Whether it was written, and not left alone because it was the same already."),
            ("error", "Why the host could not be worked on; an empty text where it could."),
            ("skipped", "Whether nothing was done because others had failed before."),
            ("dry_run", "Whether nothing was done because it was only to be told."),
            ("duration", "How long it took, in seconds."),
        ])
        .without_try(),
        known::<ssh::Forward>(&[]).without_try(),
        known::<ssh::Dialogue>(&[]),
        known::<ssh::TestServer>(&[]).without_try(),
        known::<ssh::ServedFile>(&[
            ("path", "Where it is on the server."),
            ("name", "The last part of its path."),
            ("content", "What is in it, as a text."),
            ("content_bytes", "What is in it, as bytes."),
            ("mode", "Its permissions, such as 0644."),
        ]),
        known::<ssh::TestKey>(&[
            ("path", "The file with the private key."),
            ("public_key", "The line for authorized_keys."),
            ("fingerprint", "SHA256:..."),
        ]),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::types;
    use crate::scratch::run_in;

    /// A value of each type, as scripts get it.
    const VALUES: &str = r#"
write_text("hosts.yaml", "- name: a\n")
srv = ssh.test_server()
srv.add_file("/f", "x")
pattern = regexp.compile("a")
for value in [
    Result(True), json.file("a"), json.source(1), yaml.file("a"), yaml.source(1), csv.file("a"), csv.source([]),
    log.logger(), retry.do(lambda: 1), time.now(), time.duration("1s"), path("a"), try_exec("true"), hash.text("a"),
    base64.text("a"), pattern, pattern.find("a"), table.new(["a"]), inventory.file("hosts.yaml"),
    ssh.config(hosts = []), srv, ssh.test_key(),
] + ssh.config(hosts = ["a"], dry_run = True).exec("true") + ssh.config(hosts = ["a"], dry_run = True).upload("a", "b"):
    print(type(value), ",".join(dir(value)))
"#;

    #[test]
    fn every_member_that_a_value_has_is_described() {
        let folder = tempfile::tempdir().expect("a folder");
        let ran = run_in(folder.path(), &[], VALUES, |session| session.test_mode(true));
        if let Err(error) = &ran.ended {
            panic!("{}", error.render(false));
        }
        let told: BTreeMap<&str, Vec<&str>> = ran
            .out
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(kind, members)| (kind, members.split(',').collect()))
            .collect();
        for known in types() {
            let Some(members) = told.get(known.name.as_str()) else {
                continue;
            };
            for member in members.iter().filter(|member| !member.starts_with("try_")) {
                let described = known.docs.members.get(*member).is_some()
                    || known.fields.iter().any(|(field, _)| field == member);
                assert!(described, "{} has .{member}", known.name);
            }
        }
        let described: Vec<String> = types().into_iter().map(|known| known.name).collect();
        for kind in told.keys() {
            assert!(described.iter().any(|name| name == kind), "{kind}");
        }
    }
}
