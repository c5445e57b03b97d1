//! What is asked of a host, once, before sandboxes are made on it.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Unsuitable;
use super::facts::{Arch, HostFacts, ReadExactly, Tools};

/// Directories at the top, which are links on some distributions and missing on others.
pub(super) const TOP_DIRECTORIES: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Where programs are. The probe looks at others as well, named `bin`, `sbin` or `libexec` below `/usr` and `/lib`.
pub(super) const PROGRAM_DIRECTORIES: [&str; 15] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/local/libexec",
    "/usr/games",
    "/usr/local/games",
    "/usr/lib/git-core",
    "/usr/lib/openssh",
    "/usr/lib/ssh",
    "/usr/lib/sudo",
    "/opt",
];

/// The text for `/bin/sh` that finds out what [`HostFacts`](super::HostFacts) hold. It changes nothing, reads no standard
/// input, and takes a tenth of a second.
///
/// The variable `sternline_bwrap`, if it is set, says where bubblewrap is: see [`probe_command_with`](super::probe_command_with).
/// Everything stands in one function, so that the shell has read all of it before it runs anything. Names of programs are
/// listed by the shell itself, without a process for each.
pub const PROBE: &str = r#"probe() {
LC_ALL=C; export LC_ALL
q=$PATH; PATH=/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin; export PATH
printf '\n%s\n' 'sternline-probe begin'
echo "system $(uname -s)"
echo "arch $(uname -m)"
echo "uid $(id -u)"
echo "login $(id -un)"
( ID= ID_LIKE=; [ -r /etc/os-release ] && . /etc/os-release; echo "os $ID $ID_LIKE" ) 2>/dev/null
has() {
  p=; IFS=:
  for d in $PATH:$q; do
    case $d in /*) [ -f "$d/$1" ] && [ -x "$d/$1" ] && { p=$d/$1; break; } ;; esac
  done
  unset IFS; [ -n "$p" ]
}
v=
if has setpriv && s=$p; then
  if [ "$(id -u)" = 0 ]; then
    v="$s --reuid 65534 --regid 65534 --clear-groups --no-new-privs --pdeathsig KILL"
  else
    v="$s --pdeathsig KILL"
  fi
  if $v /bin/sh -c : >/dev/null 2>&1; then echo "setpriv $s"; else v=; fi
fi
has timeout && "$p" --foreground -k 1 0.9 /bin/sh -c : 2>/dev/null && echo "timeout $p"
if [ "$(printf 'abcdef' | { head -c 2 >/dev/null; cat; } 2>/dev/null)" = cdef ]; then echo 'read head'
elif [ "$(printf 'abcdef' | { dd bs=1 count=2 >/dev/null 2>&1; cat; } 2>/dev/null)" = cdef ]; then echo 'read dd'; fi
for d in /bin /sbin /lib /lib32 /lib64 /libx32; do
  if [ -L "$d" ]; then echo "link $d $(readlink "$d")"; elif [ -d "$d" ]; then echo "directory $d"; fi
done
for d in /bin /sbin /opt /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /usr/libexec /usr/local/libexec \
  /usr/games /usr/local/games /usr/lib/git-core /usr/lib/openssh /usr/lib/ssh /usr/lib/sudo \
  /usr/lib/*/bin /usr/lib/*/sbin /usr/lib/*/libexec /usr/lib/*/*/bin /usr/lib/*/*/*/bin \
  /usr/lib64/*/bin /usr/lib64/*/*/bin /usr/lib64/*/*/*/bin \
  /usr/share/*/bin /usr/local/*/bin /usr/local/*/*/bin /lib/*/bin /lib/*/sbin; do
  case $d in *[*]*) continue ;; /lib/*) [ -L /lib ] && continue ;; esac
  case $d in /usr/lib64/*) [ -L /usr/lib64 ] && continue ;; esac
  if [ -L "$d" ]; then
    case $d in /bin | /sbin) ;; *) echo "link $d $(readlink "$d")" ;; esac
  elif [ -d "$d" ]; then
    echo "in $d"
    ( cd "$d" 2>/dev/null && printf '+%s\n' * )
  fi
done
[ -r /etc/passwd ] && while IFS=: read -r n x u g r; do echo "account $n $u $g"; done </etc/passwd
[ -r /etc/group ] && while IFS=: read -r n x g r; do echo "group $n $g"; done </etc/group
if [ -n "$sternline_bwrap" ]; then p=$sternline_bwrap; [ -x "$p" ]; else has bwrap; fi
if [ $? = 0 ]; then
  b=$p
  echo "bwrap $b"
  [ -u "$b" ] && echo setuid
  echo "version $("$b" --version 2>/dev/null)"
  "$b" --help 2>&1 | while read -r o r; do case $o in --*) echo "option $o" ;; esac; done
  if m=$($v "$b" --unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts --ro-bind /usr /usr \
    --ro-bind-try /bin /bin --ro-bind-try /lib /lib --ro-bind-try /lib64 /lib64 --dev /dev --proc /proc \
    -- /bin/sh -c : 2>&1); then echo 'sandbox works'; else echo "sandbox refused $(echo $m)"; fi
fi
echo 'sternline-probe end'
}
probe </dev/null 2>/dev/null
"#;

/// Reads what [`PROBE`] has written. What stands before its first line, such as a greeting, is passed over.
///
/// # Errors
/// Why no sandbox can be made there.
pub fn parse_probe(output: &str) -> Result<HostFacts, Unsuitable> {
    let not_run = || Unsuitable::NotRun {
        output: output.to_owned(),
    };
    let (_, rest) = output
        .rsplit_once("\nsternline-probe begin\n")
        .ok_or_else(not_run)?;
    let (lines, _) = rest.split_once("\nsternline-probe end").ok_or_else(not_run)?;
    let mut found = Found::default();
    let mut directory: Option<String> = None;
    for line in lines.lines() {
        if let Some(name) = line.strip_prefix('+') {
            if let Some(directory) = &directory {
                let names = found.programs.entry(directory.clone()).or_default();
                // An empty directory shows the pattern itself.
                if is_plain(name) {
                    names.insert(name.to_owned());
                }
            }
            continue;
        }
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "in" => {
                directory = is_path(value).then(|| value.to_owned());
                if let Some(directory) = &directory {
                    found.programs.entry(directory.clone()).or_default();
                }
            }
            _ => found.line(word, value),
        }
    }
    found.finish(output)
}

/// How many links, and how many directories of programs, a host may have: many times what any has. One that tells of more would
/// have us compare them with one another for ever.
const MOST: usize = 1000;

/// A path without anything that a shell or a listing could read in another way.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.split('/').skip(1).all(|part| is_plain(part) && part != "..")
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name != "*"
        && !name
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || "/'\"\\$`".contains(c))
}

#[derive(Default)]
struct Found {
    words: BTreeMap<String, String>,
    options: BTreeSet<String>,
    links: BTreeMap<String, String>,
    directories: BTreeSet<String>,
    programs: BTreeMap<String, BTreeSet<String>>,
    users: BTreeMap<String, (u32, u32)>,
    groups: BTreeMap<String, u32>,
}

impl Found {
    fn line(&mut self, word: &str, value: &str) {
        let mut parts = value.split(' ');
        let mut next = || parts.next().unwrap_or_default();
        match word {
            "option" => {
                self.options.insert(value.to_owned());
            }
            "directory" if is_path(value) => {
                self.directories.insert(value.to_owned());
            }
            "link" => {
                let (link, text) = (next(), next());
                if is_path(link) && !text.is_empty() && text.trim_matches('/').split('/').all(is_plain) {
                    self.links.insert(link.to_owned(), text.to_owned());
                }
            }
            "account" => {
                let (name, uid, gid) = (next(), next().parse(), next().parse());
                if let (Ok(uid), Ok(gid)) = (uid, gid) {
                    self.users.entry(name.to_owned()).or_insert((uid, gid));
                }
            }
            "group" => {
                let (name, gid) = (next(), next().parse());
                if let Ok(gid) = gid {
                    self.groups.entry(name.to_owned()).or_insert(gid);
                }
            }
            word => {
                self.words.insert(word.to_owned(), value.to_owned());
            }
        }
    }

    fn word(&self, name: &str) -> &str {
        self.words.get(name).map_or("", String::as_str)
    }

    fn finish(self, output: &str) -> Result<HostFacts, Unsuitable> {
        let system = self.word("system");
        if system != "Linux" {
            return Err(Unsuitable::NotLinux {
                system: system.to_owned(),
            });
        }
        let os = known_os(self.word("os"));
        if self.links.len() > MOST || self.programs.len() > MOST {
            return Err(Unsuitable::NotRun {
                output: format!("it told of more than {MOST} links or directories of programs"),
            });
        }
        let bwrap = self.word("bwrap").to_owned();
        if !is_path(&bwrap) {
            return Err(Unsuitable::NoBubblewrap { os });
        }
        let version = self
            .word("version")
            .trim_start_matches("bubblewrap ")
            .trim()
            .to_owned();
        for missing in NEEDED {
            if !self.options.contains(missing) {
                return Err(Unsuitable::TooOld { version, missing });
            }
        }
        match self.word("sandbox") {
            "works" => {}
            other => {
                let message = other.strip_prefix("refused").unwrap_or(other).trim().to_owned();
                return Err(Unsuitable::Forbidden { os, message });
            }
        }
        let Ok(uid) = self.word("uid").parse() else {
            return Err(Unsuitable::NotRun {
                output: output.to_owned(),
            });
        };
        let tools = Tools {
            setpriv: Some(self.word("setpriv").to_owned()).filter(|path| is_path(path)),
            timeout: Some(self.word("timeout").to_owned()).filter(|path| is_path(path)),
            read_exactly: match self.word("read") {
                "head" => ReadExactly::Head,
                _ => ReadExactly::Dd,
            },
        };
        Ok(HostFacts {
            arch: Arch::from_uname(self.word("arch")),
            os,
            uid,
            user: self.word("login").to_owned(),
            bwrap,
            bwrap_version: version,
            bwrap_setuid: self.words.contains_key("setuid"),
            bwrap_options: self.options,
            tools,
            links: self.links,
            directories: self.directories,
            programs: self.programs,
            users: self.users,
            groups: self.groups,
        })
    }
}

/// Options without which there is no sandbox of ours; the others have something in their place.
const NEEDED: [&str; 10] = [
    "--unshare-user",
    "--unshare-cgroup-try",
    "--new-session",
    "--die-with-parent",
    "--cap-drop",
    "--ro-bind-try",
    "--remount-ro",
    "--seccomp",
    "--hostname",
    "--json-status-fd",
];

/// Of a distribution and those that it is like, the first whose ways are known here.
fn known_os(ids: &str) -> String {
    let known = [
        "debian",
        "ubuntu",
        "fedora",
        "rhel",
        "centos",
        "rocky",
        "almalinux",
        "ol",
        "amzn",
        "alpine",
        "arch",
        "opensuse",
        "sles",
        "suse",
        "void",
        "gentoo",
    ];
    let mut ids = ids.split_whitespace();
    let first = ids.clone().next().unwrap_or_default();
    ids.find(|id| known.contains(id)).unwrap_or(first).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = include_str!("testdata/debian-12.txt");

    #[test]
    fn what_the_probe_found_is_read_behind_whatever_a_greeting_says() {
        let facts = parse_probe(DEBIAN).unwrap();
        assert_eq!(facts.arch, Arch::X86_64);
        assert_eq!(
            (facts.uid, facts.user.as_str(), facts.os.as_str()),
            (0, "root", "debian")
        );
        assert_eq!(
            (facts.bwrap.as_str(), facts.bwrap_version.as_str()),
            ("/usr/bin/bwrap", "0.8.0")
        );
        assert_eq!(facts.links.get("/bin").map(String::as_str), Some("usr/bin"));
        assert!(facts.programs["/usr/bin"].contains("ls"));
        assert!(facts.programs["/usr/local/bin"].is_empty());
        assert_eq!(facts.users["nobody"], (65534, 65534));
        assert_eq!(facts.groups["systemd-journal"], 999);
        assert_eq!(facts.tools.timeout, Some("/usr/bin/timeout".to_owned()));
        assert_eq!(facts.weaknesses(), Vec::<&str>::new());
    }

    /// Java and bundled interpreters are as deep as that.
    #[cfg(unix)]
    #[test]
    fn programs_are_looked_for_three_directories_below_those_of_libraries() {
        let root = std::env::temp_dir().join(format!("sternline-probe-{}", std::process::id()));
        let deep = root.join("usr/lib/sdk/platform/python/bin");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("python3"), "").unwrap();
        let probe = PROBE.replace(" /usr/lib/", &format!(" {}/usr/lib/", root.display()));
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &probe])
            .output()
            .unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = format!("in {}\n+python3\n", deep.display());
        assert!(output.contains(&found), "{output}");
    }

    #[test]
    fn a_host_that_tells_of_more_than_any_has_is_refused() {
        let more = |line: fn(usize) -> String, count| {
            let lines: String = (0..count).map(line).collect();
            parse_probe(&DEBIAN.replace("\nsternline-probe end", &format!("\n{lines}sternline-probe end")))
        };
        for line in [
            (|i| format!("link /usr/l{i} usr/bin\n")) as fn(usize) -> String,
            |i| format!("in /usr/lib/{i}/bin\n+x\n"),
        ] {
            assert!(more(line, 500).is_ok());
            let error = more(line, 100_000).unwrap_err();
            assert!(error.to_string().contains("more than 1000 links"), "{error}");
        }
    }

    #[test]
    fn a_host_without_sandboxes_says_why_and_what_to_do() {
        let without = |line: &str| DEBIAN.replace(&format!("\n{line}\n"), "\n");
        let refused = "sandbox refused bwrap: setting up uid map: Permission denied";
        for (output, message, hint) in [
            (
                "This account is currently not available.\n".to_owned(),
                "the host did not run the probe: This account is currently not available.",
                "give the account a shell that runs commands",
            ),
            (
                DEBIAN.replace("\nsternline-probe end", ""),
                "the host did not run the probe: Welcome",
                "see that nothing ends it early",
            ),
            (
                DEBIAN.replace("system Linux", "system FreeBSD"),
                "the host runs FreeBSD, and sandboxes need Linux",
                "use a Linux host",
            ),
            (
                without("bwrap /usr/bin/bwrap"),
                "bubblewrap is not installed",
                "install it there: apt-get install bubblewrap",
            ),
            (
                without("bwrap /usr/bin/bwrap").replace("os debian ", "os alpine "),
                "bubblewrap is not installed",
                "install it there: apk add bubblewrap",
            ),
            (
                without("bwrap /usr/bin/bwrap").replace("os debian ", "os linuxmint ubuntu debian"),
                "bubblewrap is not installed",
                "install it there: apt-get install bubblewrap",
            ),
            (
                without("option --json-status-fd"),
                "bubblewrap 0.8.0 is too old: it has no --json-status-fd",
                "update bubblewrap",
            ),
            (
                DEBIAN
                    .replace("sandbox works", refused)
                    .replace("os debian ", "os ubuntu debian"),
                "bubblewrap cannot make a sandbox: bwrap: setting up uid map: Permission denied",
                "AppArmor",
            ),
            (
                DEBIAN.replace("sandbox works", refused),
                "bubblewrap cannot make a sandbox",
                "kernel.unprivileged_userns_clone=1",
            ),
            (
                DEBIAN.replace(
                    "sandbox works",
                    "sandbox refused bwrap: Creating new namespace failed: ... (ENOSPC)",
                ),
                "bubblewrap cannot make a sandbox",
                "user.max_user_namespaces",
            ),
        ] {
            let error = parse_probe(&output).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(error.hint().contains(hint), "{}", error.hint());
        }
    }

    #[test]
    fn what_a_shell_could_misread_is_not_taken_from_a_host() {
        let planted = DEBIAN
            .replace("setpriv /usr/bin/setpriv", "setpriv /tmp/a b;touch")
            .replace("+grep", "+$(x)\n+a b\n+..\n+x'y")
            .replace(
                "link /bin usr/bin",
                "link /bin $(x)\nlink bin usr/bin\nlink /lib32 ",
            );
        let facts = parse_probe(&planted).unwrap();
        assert_eq!(facts.tools.setpriv, None);
        assert!(facts.programs["/usr/bin"].iter().all(|name| is_plain(name)));
        assert!(!facts.links.contains_key("/bin") && !facts.links.contains_key("/lib32"));
        let planted = DEBIAN.replace("bwrap /usr/bin/bwrap", "bwrap bwrap");
        assert!(matches!(
            parse_probe(&planted),
            Err(Unsuitable::NoBubblewrap { .. })
        ));
    }
}
