//! The attempts that a script in the sandbox can make. None of them does harm where it succeeds: what is written is what stood there
//! before, or an empty file that is removed again; files are opened for writing and not written to.

/// A script for a POSIX shell that says in lines what came of it.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) tried: &'static str,
    pub(super) script: &'static str,
}

pub(super) const ATTACKS: [Attack; 16] = [
    Attack {
        name: "remount",
        tried: "remount what is read-only for writing",
        script: r#"command -v mount >/dev/null || { echo 'untried: there is no mount in the sandbox'; exit; }
for place in / /usr /etc /proc; do
  if mount -o remount,bind,rw "$place" 2>/dev/null || mount -o remount,rw "$place" 2>/dev/null; then
    echo "escaped: $place was remounted"
  fi
done
echo 'held: no mount can be changed'"#,
    },
    Attack {
        name: "capabilities",
        tried: "have a capability, or get one by a setuid program",
        script: r#"while read -r name value rest; do
  case $name in
    CapEff: | CapPrm: | CapInh: | CapAmb:)
      [ "$value" = 0000000000000000 ] || echo "escaped: $name $value"
      ;;
    NoNewPrivs:)
      [ "$value" = 1 ] || echo 'escaped: setuid programs can be run'
      held=yes
      ;;
  esac
done </proc/self/status
[ -n "$held" ] && echo 'held: no capabilities, and no_new_privs is set'"#,
    },
    Attack {
        name: "kernel-settings",
        tried: "write to settings of the kernel",
        script: r#"for file in kernel/core_pattern kernel/modprobe vm/overcommit_memory net/ipv4/ip_forward; do
  if [ -e "/proc/sys/$file" ] && (: >>"/proc/sys/$file") 2>/dev/null; then
    echo "escaped: /proc/sys/$file can be written"
  fi
done
if (: >>/proc/sysrq-trigger) 2>/dev/null; then echo 'escaped: /proc/sysrq-trigger can be written'; fi
echo 'held: none can be opened for writing'"#,
    },
    // Whether it is root there cannot be read off /proc/self/uid_map, which names users of the namespace around it.
    Attack {
        name: "root-files",
        tried: "be root on the host, and read what only root may read",
        script: r#"tried=
for file in /etc/shadow /etc/gshadow /etc/sudoers /etc/ssh/ssh_host_ed25519_key /etc/ssl/private; do
  [ -e "$file" ] || continue
  tried="$tried $file"
  if (: <"$file") 2>/dev/null && { [ ! -d "$file" ] || ls "$file" >/dev/null 2>&1; }; then echo "escaped: $file can be read"; fi
done
[ -n "$tried" ] && echo "held: refused to read$tried"
echo 'untried: no such file can be seen in the sandbox'"#,
    },
    Attack {
        name: "environment",
        tried: "see the environment of the login",
        script: r#"for tool in cat tr; do
  command -v $tool >/dev/null || { echo "untried: there is no $tool in the sandbox"; exit; }
done
cat /proc/[0-9]*/environ 2>/dev/null | tr '\000' '\n' | while IFS= read -r line; do
  case $line in
    SSH_* | LOGNAME=* | MAIL=* | XDG_* | DBUS_* | SUDO_*) echo "escaped: ${line%%=*} is set" ;;
  esac
done
echo 'held: nothing of it is set'"#,
    },
    Attack {
        name: "host-processes",
        tried: "see the host's processes",
        script: r#"count=0
for process in /proc/[0-9]*; do count=$((count + 1)); done
read -r first </proc/1/comm || exit
case $first in
  bwrap | sh) ;;
  *) echo "escaped: process 1 is $first" ;;
esac
[ "$count" -le 4 ] || echo "escaped: $count processes can be seen"
echo "held: $count processes can be seen, all of them its own""#,
    },
    Attack {
        name: "devices",
        tried: "open the host's disks and its memory",
        script: r#"for file in /dev/mem /dev/kmem /dev/kmsg /dev/sda /dev/vda /dev/nvme0n1 /dev/xvda /dev/fuse /dev/kvm /dev/loop-control; do
  [ -e "$file" ] && echo "escaped: there is $file"
done
echo 'held: there are none of them'"#,
    },
    Attack {
        name: "write",
        tried: "write to the file systems of the host",
        script: r#"for place in / /usr /usr/bin /usr/lib /bin /sbin /lib /etc /var /var/log /opt /root /home /boot /sys /proc /dev; do
  [ -d "$place" ] || continue
  case " $WRITABLE " in *" $place "*) continue ;; esac
  file=${place%/}/sternline-verify-$$
  if (set -C; : >"$file") 2>/dev/null; then
    rm -f "$file"
    echo "escaped: $place can be written"
  fi
done
echo 'held: none can be written'"#,
    },
    Attack {
        name: "memory-files",
        tried: "fill the host's memory with files",
        script: r#"while read -r device place kind options rest; do
  [ "$kind" = tmpfs ] || continue
  case $options in
    ro | ro,* | *,size=* | size=*) ;;
    *) echo "escaped: the size of $place has no limit" ;;
  esac
done </proc/self/mounts
echo 'held: each tmpfs is read-only or has a size'"#,
    },
    Attack {
        name: "limits",
        tried: "use up processors, memory, processes and disks",
        script: r#"while read -r line; do
  case $line in
    'Max cpu time '*) limit=${line#Max cpu time} ;;
    'Max file size '*) limit=${line#Max file size} ;;
    'Max processes '*) limit=${line#Max processes} ;;
    'Max address space '*) limit=${line#Max address space} ;;
    *) continue ;;
  esac
  held="$held x"
  set -- $limit
  [ "$1" = unlimited ] && echo "escaped: ${line%% [0-9u]*} is unlimited"
done </proc/self/limits
[ "$held" = ' x x x x' ] && echo 'held: each has a limit'"#,
    },
    Attack {
        name: "user-namespaces",
        tried: "make another user namespace, and be root in it",
        script: r#"tools=
for tool in unshare bwrap; do command -v $tool >/dev/null && tools="$tools $tool"; done
[ -n "$tools" ] || { echo 'untried: there is neither unshare nor bwrap in the sandbox'; exit; }
unshare -U true 2>/dev/null && echo 'escaped: unshare made one'
bwrap --unshare-user --ro-bind / / true 2>/dev/null && echo 'escaped: bwrap made one'
echo "held: refused to$tools""#,
    },
    Attack {
        name: "terminal",
        tried: "have a terminal into which could be typed",
        script: r#"read -r stat </proc/self/stat || exit
set -- ${stat##*) }
[ "$5" = 0 ] || echo 'escaped: a terminal controls it'
if (: >>/dev/tty) 2>/dev/null; then echo 'escaped: /dev/tty can be opened'; fi
echo 'held: there is none'"#,
    },
    Attack {
        name: "system-calls",
        tried: "use system calls that no program needs",
        script: r#"while read -r name value rest; do
  [ "$name" = Seccomp: ] || continue
  [ "$value" = 2 ] && echo 'held: a filter is at work'
  [ "$value" = 2 ] || echo 'escaped: there is no filter'
done </proc/self/status"#,
    },
    Attack {
        name: "network",
        tried: "reach the host's network",
        script: r#"[ "$SHARES_NETWORK" = yes ] && { echo 'untried: the profile shares the network of the host'; exit; }
{ read -r line; read -r line; } </proc/net/dev || exit
while IFS=': ' read -r device rest; do
  case $device in
    lo | Inter-* | face) ;;
    *) echo "escaped: there is the device $device" ;;
  esac
done </proc/net/dev
echo 'held: there is a loopback device of its own, and no other'"#,
    },
    Attack {
        name: "input",
        tried: "read what is meant for somebody else",
        script: r#"if IFS= read -r line; then echo 'escaped: its input was not empty'; else echo 'held: its input is empty'; fi"#,
    },
    Attack {
        name: "control-groups",
        tried: "change the control groups of the host",
        script: r#"for file in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do
  [ -e "$file" ] && (: >>"$file") 2>/dev/null && echo "escaped: $file can be written"
done
echo 'held: none can be opened for writing'"#,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    use super::*;

    #[test]
    fn each_attempt_has_a_name_of_its_own_and_a_script_that_a_shell_can_read() {
        let names: BTreeSet<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ATTACKS.len());
        for attack in &ATTACKS {
            let status = Command::new("sh")
                .args(["-n", "-c", attack.script])
                .status()
                .unwrap();
            assert!(status.success(), "{}", attack.name);
        }
    }

    /// Only those that leave this machine alone whoever runs the tests, and that a container does not hold either.
    #[cfg(target_os = "linux")]
    #[test]
    fn outside_of_a_sandbox_they_succeed() {
        use std::io::Write;
        use std::process::Stdio;

        use super::super::attempt::Outcome;

        for name in ["capabilities", "environment", "limits", "input"] {
            let attack = ATTACKS.iter().find(|attack| attack.name == name).unwrap();
            let mut shell = Command::new("sh")
                .args(["-c", attack.script])
                .env("SSH_CONNECTION", "127.0.0.1 1 127.0.0.1 2")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let _ = shell.stdin.take().unwrap().write_all(b"for somebody else\n");
            let output = shell.wait_with_output().unwrap();
            let outcome = Outcome::read(&String::from_utf8_lossy(&output.stdout));
            assert_eq!(outcome.as_str(), "escaped", "{name}: {outcome:?}");
        }
    }
}
