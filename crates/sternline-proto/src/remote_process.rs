//! Ending a command on a POSIX server from a second session of the same connection.
//!
//! Every command of a connection is a child of the same server process, which is `$PPID` of any other session, and
//! under sshd each has a process group of its own. So a shell on a second session can list its siblings and end
//! one of them, and nothing has to be wrapped round the command itself. Which sibling is the right one is decided
//! here, by the order in which the commands were started, and never guessed.

use std::fmt::Write as _;

use crate::sudo::prompt_in_line;

/// The command line of the second session: a POSIX shell that reads what it is to do from its standard input.
///
/// `exec` makes it a direct child of the server process whatever the login shell is; every shell has it.
pub const SHELL: &str = "exec /bin/sh -s";

/// The functions that the later lines use. Needs nothing but a POSIX shell with `kill`; reads `/proc` where there is
/// one and asks `ps` elsewhere.
///
/// A server that keeps all connections in one process shows the commands of other connections as siblings too; those
/// whose environment names another connection are left out.
///
/// A process is described as `pid ppid pgid state start`. Stat files are cut behind the last `)`, because a program's
/// name may hold anything. Arguments are not left to `echo`, which rewrites backslashes in some shells. A listing begins
/// on a line of its own, because a start-up file of the login shell may have written half of one. A family is looked at
/// again in each round: one of its members may have started another after the first look.
pub const PRELUDE: &str = r#"PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH; LC_ALL=C; export PATH LC_ALL
one() {
  { read -r l </proc/$1/stat; } 2>/dev/null || return 1
  set -- "$1" ${l##*) }
  echo "$1 $3 $4 $2 ${21}"
}
all() {
  if [ -r /proc/self/stat ]; then
    for d in /proc/[0-9]*; do one "${d#/proc/}"; done
  else
    ps -A -o pid= -o ppid= -o pgid= -o stat= | while read -r a b c d e; do echo "$a $b $c $d 0"; done
  fi
}
args() { tr '\000\n' '\001\002' </proc/$1/cmdline 2>/dev/null; }
mine() {
  v=$(tr '\000' '\n' </proc/$1/environ 2>/dev/null | grep '^SSH_CONNECTION=')
  [ -z "$v" ] || [ -z "$SSH_CONNECTION" ] || [ "$v" = "SSH_CONNECTION=$SSH_CONNECTION" ]
}
list() {
  printf '\n%s\n' "self $$"
  all | while read -r a b c d e; do
    [ "$b" = "$PPID" ] && mine "$a" && case $d in Z*) ;; *) printf '%s\n' "child $a $c $e $(args "$a")" ;; esac
  done
  echo end
}
family() { t=$(all); related "$@"; }
related() {
  f=$*; n=$*
  while [ -n "$n" ]; do
    p=$n; n=
    for q in $p; do
      n="$n $(echo "$t" | while read -r a b c d e; do [ "$b" = "$q" ] && echo "$a"; done)"
    done
    n=$(for q in $n; do case " $f " in *" $q "*) ;; *) echo "$q" ;; esac; done)
    n=$(echo $n); f="$f $n"
  done
  echo $f
}
left() {
  all | while read -r a b c d e; do
    case $d in Z*) continue ;; esac
    if [ "$2" != family ] && [ "$c" = "$1" ]; then echo "$a"; continue; fi
    [ "$2" = group ] || case " $f " in *" $a "*) echo "$a" ;; esac
  done
}
nap() { sleep 0.05 2>/dev/null || sleep 1; }
finish() {
  set -- "$1" "$2" "$3" "$4"
  now=$(all | while read -r a b c d e; do [ "$a" = "$1" ] && echo "$c $e"; done)
  [ "$now" = "$2 $3" ] || { echo "verdict gone"; return; }
  if [ "$2" != "$1" ]; then how=family; f=$(family "$1"); target=$f
  elif [ "$4" = tree ]; then how=both; f=$(family "$1"); target="-$1 $f"
  else how=group; target=-$1; fi
  for signal in TERM KILL; do
    kill -$signal -- $target 2>/dev/null || kill -$signal $target 2>/dev/null
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      if [ "$how" != group ]; then
        g=$f; f=$(family $f)
        [ "$f" = "$g" ] || kill -$signal $f 2>/dev/null
      fi
      [ -z "$(left "$1" $how)" ] && { echo "verdict ended"; return; }
      nap
    done
  done
  echo "verdict left $(echo $(left "$1" $how))"
}
"#;

/// The line that asks for the listing.
pub const LIST: &str = "list\n";

/// The line that ends one process: first TERM, a second later KILL, to its whole process group.
#[must_use]
pub fn finish_line(child: &Child) -> String {
    format!("finish {} {} {}\n", child.pid, child.group, child.start)
}

/// As [`finish_line`], for a process that has put others into groups of their own: those below it are ended too.
#[must_use]
pub fn finish_tree_line(child: &Child) -> String {
    format!("finish {} {} {} tree\n", child.pid, child.group, child.start)
}

/// The shell text that, as another user by way of sudo, waits for the lines that [`become_line`]'s shell is given.
pub const OTHER_SHELL: &str = "echo other; exec /bin/sh -s";

/// The line that starts a second shell inside the first, from a command line that runs [`OTHER_SHELL`]. The lines after it go to the
/// second shell, if there is one: [`parse_become`] says so.
#[must_use]
pub fn become_line(command: &[u8]) -> Vec<u8> {
    [b"( ".as_slice(), command, b" ) || echo same\n"].concat()
}

/// Reads the output of [`become_line`]: whether there is a second shell.
#[must_use]
pub fn parse_become(output: &str) -> Option<bool> {
    output.lines().find_map(|line| match line {
        "other" => Some(true),
        "same" => Some(false),
        _ => None,
    })
}

/// A process started by the connection's server process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Process id.
    pub pid: u64,
    /// Process group id.
    pub group: u64,
    /// Start time in the server's clock ticks; 0 where unknown.
    pub start: u64,
    /// Its arguments, each ended by `\x01`, with `\x02` for a newline; empty where unknown.
    pub arguments: String,
}

/// What the second session sees: its siblings, started before it, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The siblings.
    pub children: Vec<Child>,
}

/// Reads the output of [`LIST`]; `None` until it is complete.
///
/// Siblings that started after the second session itself are left out: whether they were seen is a matter of chance.
#[must_use]
pub fn parse_listing(output: &str) -> Option<Listing> {
    let mut own = None;
    let mut children = Vec::new();
    let mut complete = false;
    for line in output.lines() {
        if let Some(pid) = line.strip_prefix("self ") {
            own = pid.trim().parse().ok();
            children.clear();
        } else if let Some(rest) = line.strip_prefix("child ") {
            let mut fields = rest.splitn(4, ' ');
            let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok());
            let (Some(pid), Some(group), Some(start)) = (number(), number(), number()) else {
                continue;
            };
            let arguments = fields.next().unwrap_or_default().to_owned();
            children.push(Child {
                pid,
                group,
                start,
                arguments,
            });
        } else if line == "end" {
            complete = true;
        }
    }
    let own: u64 = own.filter(|_| complete)?;
    children.sort_by_key(|child| (child.start, child.pid));
    let position = children.iter().position(|child| child.pid == own)?;
    children.truncate(position);
    Some(Listing { children })
}

/// Reads the output of [`finish_line`]: `Some(true)` when nothing is left of the process group.
#[must_use]
pub fn parse_verdict(output: &str) -> Option<bool> {
    output
        .lines()
        .find_map(|line| match line.strip_prefix("verdict ")?.split(' ').next()? {
            "ended" | "gone" => Some(true),
            _ => Some(false),
        })
}

/// Finds the process of one command among the siblings.
///
/// `running` are the connection's commands that were started before the second session and have not been reported to
/// have exited, oldest first; `wanted` is the index of the one to find. When there are as many siblings as commands,
/// they are matched by their order. A command that has exited without this side knowing yet, or a process that
/// outlived its channel, makes the counts differ; then only a process that shows exactly this command line is taken,
/// and only if there is one such process and one such command. `None` means: ask for a new listing.
#[must_use]
pub fn identify<'a>(listing: &'a Listing, running: &[&[u8]], wanted: usize) -> Option<&'a Child> {
    let command = running.get(wanted)?;
    if running.len() == listing.children.len() {
        return listing
            .children
            .get(wanted)
            .filter(|child| may_be(child, command));
    }
    let mut exact = listing.children.iter().filter(|child| is(child, command));
    let candidate = exact.next()?;
    let twins = running.iter().filter(|other| *other == command).count();
    (exact.next().is_none() && twins == 1).then_some(candidate)
}

/// The form in which a shell was given the command: `-c`, the command, nothing behind it.
fn as_arguments(command: &[u8]) -> String {
    let mut text = String::from("-c\x01");
    for c in String::from_utf8_lossy(command).chars() {
        let _ = text.write_char(if c == '\n' { '\x02' } else { c });
    }
    text.push('\x01');
    text
}

/// Whether a process shows exactly this command: as a shell that runs it, as the plain words of it, by which a shell
/// has replaced itself, or as the sudo that asks with this command's own prompt.
fn is(child: &Child, command: &[u8]) -> bool {
    if let Some(prompt) = prompt_in_line(command) {
        return child.arguments.contains(&prompt);
    }
    let words = child.arguments.strip_suffix('\x01').unwrap_or_default();
    child.arguments.ends_with(&as_arguments(command)) || words.replace('\x01', " ").as_bytes() == command
}

/// Whether a process can be this command: a shell that still shows a `-c` with another command line cannot.
fn may_be(child: &Child, command: &[u8]) -> bool {
    let arguments: Vec<&str> = child.arguments.split_terminator('\x01').collect();
    match arguments.as_slice() {
        [shell, "-c", _] if shell.ends_with("sh") => is(child, command) || nested(command),
        _ => true,
    }
}

/// A command that itself runs `sh -c ...` may have been replaced by that inner shell.
fn nested(command: &[u8]) -> bool {
    command.windows(4).any(|window| window == b"sh -")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(pid: u64, arguments: &str) -> Child {
        Child {
            pid,
            group: pid,
            start: 100 + pid,
            arguments: arguments.replace('|', "\x01"),
        }
    }

    fn listing(children: &[Child]) -> Listing {
        Listing {
            children: children.to_vec(),
        }
    }

    #[test]
    fn a_listing_is_read_oldest_first_and_without_what_came_later() {
        let output = "self 30\nchild 12 12 700 bash\x01-c\x01true; sleep 9\x01\nchild 30 30 800 /bin/sh\x01-s\x01\n\
                      child 11 11 600 sleep\x01301\x01\nchild 31 31 800 late\x01\nend\n";
        let children = parse_listing(output).unwrap().children;
        assert_eq!(
            children.iter().map(|child| child.pid).collect::<Vec<_>>(),
            [11, 12]
        );
        assert_eq!(children[1].arguments, "bash\x01-c\x01true; sleep 9\x01");
    }

    #[test]
    fn an_incomplete_or_foreign_listing_is_none() {
        for output in [
            "",
            "self 30\n",
            "self 30\nchild 30 30 1 sh\n",
            "end\n",
            "self x\nend\n",
            "self 5\nend\n",
        ] {
            assert_eq!(parse_listing(output), None, "{output:?}");
        }
    }

    #[test]
    fn equal_counts_are_matched_by_order_even_when_the_shell_has_replaced_itself() {
        let listing = listing(&[
            child(1, "sleep|301|"),
            child(2, "sleep|302|"),
            child(3, "bash|-c|sleep 303; true|"),
        ]);
        let running: [&[u8]; 3] = [b"sleep 301", b"exec sleep 302", b"sleep 303; true"];
        for (wanted, pid) in [(0, 1), (1, 2), (2, 3)] {
            assert_eq!(
                identify(&listing, &running, wanted).map(|child| child.pid),
                Some(pid)
            );
        }
    }

    #[test]
    fn a_shell_that_shows_another_command_is_never_taken() {
        let listing = listing(&[child(1, "bash|-c|important; true|")]);
        assert_eq!(identify(&listing, &[b"sleep 1; true"], 0), None);
    }

    #[test]
    fn when_a_command_has_exited_unnoticed_only_an_exact_and_single_match_is_taken() {
        let running: [&[u8]; 3] = [b"a; true", b"b; true", b"c; true"];
        let first_is_gone = listing(&[child(2, "sh|-c|b; true|"), child(3, "sh|-c|c; true|")]);
        assert_eq!(
            identify(&first_is_gone, &running, 1).map(|child| child.pid),
            Some(2)
        );
        assert_eq!(identify(&first_is_gone, &running, 0), None);
        let twins: [&[u8]; 2] = [b"b; true", b"b; true"];
        assert_eq!(identify(&listing(&[child(2, "sh|-c|b; true|")]), &twins, 0), None);
        let replaced = listing(&[child(2, "sleep|9|")]);
        assert_eq!(identify(&replaced, &[b"sleep 9", b"sleep 9"], 1), None);
    }

    #[test]
    fn a_shell_that_has_replaced_itself_by_plain_words_is_known_by_them() {
        let listing = listing(&[child(1, "old|x|"), child(2, "sleep|9|")]);
        let pid = |running: &[&[u8]]| identify(&listing, running, 0).map(|child| child.pid);
        assert_eq!(pid(&[b"sleep 9"]), Some(2));
        assert_eq!(pid(&[b"sleep  9"]), None);
        assert_eq!(pid(&[b""]), None);
    }

    #[test]
    fn a_sudo_that_asks_is_known_by_its_prompt() {
        use crate::command::{Command, Sudo};
        let line = |random| {
            let command = Command::shell("sleep 9").sudo(Sudo::Password);
            command
                .to_line_with(&crate::sudo::SudoMarkers::new([random; 32]))
                .unwrap()
        };
        let (ours, twin) = (line(1), line(2));
        let prompt = format!("sudo|-S|-p|sudo-password-{}:|--|sh|-c|...|", "01".repeat(16));
        let listing = listing(&[child(1, "old|x|"), child(2, &prompt)]);
        assert_eq!(identify(&listing, &[&ours], 0).map(|child| child.pid), Some(2));
        assert_eq!(identify(&listing, &[&twin], 0), None);
    }

    #[test]
    fn a_second_shell_is_known_by_its_word() {
        assert_eq!(parse_become("other\n"), Some(true));
        assert_eq!(parse_become("noise\nsame\n"), Some(false));
        assert_eq!(parse_become("oth"), None);
        assert_eq!(become_line(b"sudo -n id"), b"( sudo -n id ) || echo same\n");
    }

    #[test]
    fn a_process_that_outlived_its_channel_does_not_confuse_the_order() {
        let listing = listing(&[child(1, "sh|-c|old; true|"), child(2, "sh|-c|x; true|")]);
        assert_eq!(
            identify(&listing, &[b"x; true"], 0).map(|child| child.pid),
            Some(2)
        );
        assert_eq!(identify(&listing, &[b"y"], 0), None);
    }

    #[test]
    fn verdicts_are_read_and_anything_else_is_none() {
        assert_eq!(parse_verdict("verdict ended\n"), Some(true));
        assert_eq!(parse_verdict("noise\nverdict gone\n"), Some(true));
        assert_eq!(parse_verdict("verdict left 12 13\n"), Some(false));
        assert_eq!(parse_verdict("sh: 1: nonsense\n"), None);
    }

    #[test]
    fn a_newline_in_the_command_is_compared_as_the_listing_shows_it() {
        let listing = listing(&[child(1, "sh|-c|a\x02b|"), child(2, "sh|-c|z|")]);
        assert_eq!(
            identify(&listing, &[b"gone; x", b"a\nb", b"z"], 1).map(|child| child.pid),
            Some(1)
        );
    }
}
