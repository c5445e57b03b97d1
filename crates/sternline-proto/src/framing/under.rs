//! Ending what a shell runs, from another shell, so that the first one can go on.

use super::output::ShellIds;

/// The functions that [`finish_under_line`] uses, to be sent behind [`PRELUDE`](crate::remote_process::PRELUDE), whose they use.
///
/// What a shell runs are its descendants, and what is in its process group and was started no earlier than the oldest child that
/// it still has: a process whose parent has ended is nobody's descendant any more. What an earlier command has left behind is
/// older than that, and is left alone.
///
/// Looking at all processes takes its time, so that between two looks only those that were found are waited for.
pub const UNDER: &str = r#"under() {
  echo "$t" | while read -r a b c d e; do
    case $d in Z*) continue ;; esac
    [ "$a" = "$1" ] && continue
    case " $f " in *" $a "*) echo "$a"; continue ;; esac
    [ "$c" = "$1" ] && [ "$e" -ge "$2" ] && echo "$a"
  done
}
living() {
  for p in "$@"; do
    if [ -r /proc/self/stat ]; then
      { read -r l </proc/$p/stat; } 2>/dev/null || continue
      case ${l##*) } in Z*) ;; *) return 0 ;; esac
    else
      kill -0 "$p" 2>/dev/null && return 0
    fi
  done
  return 1
}
finish_under() {
  t=$(all)
  now=$(echo "$t" | while read -r a b c d e; do [ "$a" = "$1" ] && [ "$b" = "$2" ] && echo here; done)
  [ "$now" = here ] || { echo "verdict gone"; return; }
  since=$(echo "$t" | { o=; while read -r a b c d e; do
    case $d in Z*) continue ;; esac
    [ "$b" = "$1" ] || continue
    { [ -z "$o" ] || [ "$e" -lt "$o" ]; } && o=$e
  done; echo "$o"; })
  [ -n "$since" ] || { echo "verdict ended"; return; }
  for signal in TERM KILL; do
    told=
    for i in 1 2 3; do
      t=$(all); f=$(related "$1")
      left=$(echo $(under "$1" "$since"))
      [ -z "$left" ] && { echo "verdict ended"; return; }
      for p in $left; do
        case " $told " in *" $p "*) continue ;; esac
        told="$told $p"
        kill -$signal "$p" 2>/dev/null
      done
      for j in 1 2 3 4 5 6 7; do living $left || break; nap; done
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
