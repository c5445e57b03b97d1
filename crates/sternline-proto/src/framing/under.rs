//! Ending what a shell runs, from another shell, so that the first one can go on.

use super::output::ShellIds;

/// The functions that [`finish_under_line`] uses, to be sent behind [`PRELUDE`](crate::remote_process::PRELUDE), whose they use.
///
/// What a shell runs are its descendants, and what is in its process group and was started no earlier than the oldest child that
/// it still has: a process whose parent has ended is nobody's descendant any more. What an earlier command has left behind is
/// older than that, and is left alone.
pub const UNDER: &str = r#"under() {
  all | while read -r a b c d e; do
    case $d in Z*) continue ;; esac
    [ "$a" = "$1" ] && continue
    case " $f " in *" $a "*) echo "$a"; continue ;; esac
    [ "$c" = "$1" ] && [ "$e" -ge "$2" ] && echo "$a"
  done
}
finish_under() {
  now=$(all | while read -r a b c d e; do [ "$a" = "$1" ] && [ "$b" = "$2" ] && echo here; done)
  [ "$now" = here ] || { echo "verdict gone"; return; }
  since=$(all | { o=; while read -r a b c d e; do
    case $d in Z*) continue ;; esac
    [ "$b" = "$1" ] || continue
    { [ -z "$o" ] || [ "$e" -lt "$o" ]; } && o=$e
  done; echo "$o"; })
  [ -n "$since" ] || { echo "verdict ended"; return; }
  for signal in TERM KILL; do
    told=
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      f=$(family "$1")
      left=$(echo $(under "$1" "$since"))
      [ -z "$left" ] && { echo "verdict ended"; return; }
      for p in $left; do
        case " $told " in *" $p "*) continue ;; esac
        told="$told $p"
        kill -$signal "$p" 2>/dev/null
      done
      nap
    done
  done
  echo "verdict left $left"
}
"#;

/// The line that ends what the shell runs: first TERM, a second later KILL. The shell itself is left alone. The answer is read by
/// [`parse_verdict`](crate::remote_process::parse_verdict).
#[must_use]
pub fn finish_under_line(shell: ShellIds) -> String {
    format!("finish_under {} {}\n", shell.pid, shell.parent)
}
