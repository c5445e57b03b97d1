//! What changes a file that is there, as commands of a script.

use super::script::{script, touch_time};
use super::server::Server;
use crate::error::Result;
use crate::transfer::place::Change;

/// Says why a shell could not write, for some do not: another tool meets the same.
pub(super) const FULL: &str = "dd if=/dev/zero bs=65536 count=2 2>&1 >>@1 | head -n 1; false";

/// Has a file take over the access control list of the one that it replaces, beside its own mode. Where there is none this
/// costs nothing but a look.
pub(super) const KEEP_ACL: &str = "if [ -f @2 ] && a=$(getfacl -spn -- @2 2>/dev/null) && [ -n \"$a\" ]; then \
                        m=$(stat -c %a -- @1) && printf '%s\\n' \"$a\" | setfacl --set-file=- -- @1 && chmod $m @1; fi; ";

/// Some can put one file on stable storage, all of them everything.
pub(super) const SYNC: &str = "{ sync @1 2>/dev/null || sync; }";

/// What changes a file, each a template with one path. An owner that may not be set stays as it is.
pub(super) fn change_commands(change: Change) -> Vec<String> {
    let mut commands = Vec::new();
    if let Some(owner) = change.owner {
        commands.push(format!(
            "{{ chown {}:{} @1 2>/dev/null || true; }}",
            owner.uid, owner.gid
        ));
    }
    // After the owner, for that takes some bits away.
    if let Some(mode) = change.mode {
        commands.push(format!("chmod {mode:04o} @1"));
    }
    if let Some(times) = change.times {
        let touch = |what: &str, time| format!("TZ=UTC0 touch -c {what}-t {} @1", touch_time(time));
        commands.push(match times.atime == times.mtime {
            true => touch("", times.mtime),
            // A tool that cannot set one alone sets both.
            false => format!(
                "{{ {} 2>/dev/null && {} || {}; }}",
                touch("-a ", times.atime),
                touch("-m ", times.mtime),
                touch("", times.mtime)
            ),
        });
    }
    commands
}

impl Server {
    pub(super) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        let commands = change_commands(change);
        if commands.is_empty() {
            return Ok(());
        }
        let script = script(&commands.join(" && "), &[path])?;
        self.ask("set mode and times of", path, script).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use sternline_proto::sftp::{Owner, Times};

    use super::*;

    #[test]
    fn owner_mode_and_times_are_set_in_this_order() {
        let change = Change {
            mode: Some(0o4640),
            times: Some(Times { atime: 60, mtime: 60 }),
            owner: Some(Owner { uid: 7, gid: 8 }),
        };
        assert_eq!(
            change_commands(change),
            [
                "{ chown 7:8 @1 2>/dev/null || true; }",
                "chmod 4640 @1",
                "TZ=UTC0 touch -c -t 197001010001.00 @1"
            ]
        );
        let times = Some(Times { atime: 0, mtime: 60 });
        let both = change_commands(Change {
            times,
            ..Change::default()
        });
        assert!(both[0].contains("touch -c -a -t 197001010000.00 @1"), "{both:?}");
        assert!(both[0].contains("touch -c -m -t 197001010001.00 @1"), "{both:?}");
        assert!(change_commands(Change::default()).is_empty());
    }
}
