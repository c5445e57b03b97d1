//! The default filter.

use super::super::facts::Arch;
use super::bpf::{ALLOW, ARCHITECTURE, KILL_PROCESS, NUMBER, Program, argument, errno};
use super::syscalls::{CLONE, CLONE3, IOCTL, PERSONALITY, REFUSED, SOCKET, Syscall, UNSHARE};

/// AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of `linux/audit.h`.
const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_AARCH64: u32 = 0xc000_00b7;

/// The bit of a call in the x32 ABI, whose numbers would pass by the list.
const X32: u32 = 0x4000_0000;

const EPERM: u32 = errno(1);
const ENOSYS: u32 = errno(38);
const EAFNOSUPPORT: u32 = errno(97);

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// CLONE_NEWTIME, which only unshare takes: for clone the bit is part of a signal's number.
const NEW_TIME: u32 = 0x80;

/// TIOCSTI, which types into a terminal, and TIOCLINUX, which pastes into one.
const TERMINAL_INPUT: [u32; 2] = [0x5412, 0x541c];

/// AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Others are rarely used, and their code has been rarely looked at.
const FAMILIES: [u32; 4] = [1, 2, 10, 16];

/// PER_LINUX and PER_LINUX32, with UNAME26, and the question which one it is. Others turn off randomisation of addresses.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The filter for an architecture, as bubblewrap's `--seccomp` reads it; `None` for those that none is made for.
///
/// Calls that no program in a sandbox has to make fail with EPERM: those that mount, make namespaces, look into other
/// processes, load code into the kernel, set clocks, or use its keys. Sockets of exotic families fail with EAFNOSUPPORT, and
/// clone3, whose flags a filter cannot see, with ENOSYS, so that clone is used. A process that makes a call of another
/// architecture is killed.
#[must_use]
pub fn default_filter(arch: &Arch) -> Option<Vec<u8>> {
    let (audit, number): (u32, fn(Syscall) -> Option<u32>) = match arch {
        Arch::X86_64 => (AUDIT_X86_64, |call| call.x86_64),
        Arch::Aarch64 => (AUDIT_AARCH64, |call| call.aarch64),
        Arch::Other(_) => return None,
    };
    let mut program = Program::default();
    program.load(ARCHITECTURE);
    program.skip_if_equal(audit, 1);
    program.end(KILL_PROCESS);
    program.load(NUMBER);
    if *arch == Arch::X86_64 {
        program.end_if_at_least(X32, EPERM);
    }
    for refused in REFUSED.iter().filter_map(|call| number(*call)) {
        program.end_if_equal(refused, EPERM);
    }
    program.end_if_equal(number(CLONE3)?, ENOSYS);
    // Each of these ends, so that the number need not be loaded again.
    program.skip_unless_equal(number(CLONE)?, 4);
    program.load(argument(0));
    program.end_if_any_bit(NEW_NAMESPACES, EPERM);
    program.end(ALLOW);
    program.skip_unless_equal(number(UNSHARE)?, 4);
    program.load(argument(0));
    program.end_if_any_bit(NEW_NAMESPACES | NEW_TIME, EPERM);
    program.end(ALLOW);
    program.skip_unless_equal(number(IOCTL)?, 6);
    program.load(argument(1));
    for command in TERMINAL_INPUT {
        program.end_if_equal(command, EPERM);
    }
    program.end(ALLOW);
    program.skip_unless_equal(number(SOCKET)?, 10);
    program.load(argument(0));
    for family in FAMILIES {
        program.end_if_equal(family, ALLOW);
    }
    program.end(EAFNOSUPPORT);
    program.skip_unless_equal(number(PERSONALITY)?, 12);
    program.load(argument(0));
    for personality in PERSONALITIES {
        program.end_if_equal(personality, ALLOW);
    }
    program.end(EPERM);
    program.end(ALLOW);
    Some(program.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: an independent reading of the bytes.
    fn run(program: &[u8], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        arguments
            .iter()
            .for_each(|argument| data.extend(argument.to_le_bytes()));
        let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
        let instructions: Vec<&[u8]> = program.chunks(8).collect();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = instructions[at];
            let k = u32::from_le_bytes(step[4..8].try_into().unwrap());
            at += 1;
            let jump = match u16::from_le_bytes([step[0], step[1]]) {
                0x20 => {
                    loaded = word(usize::try_from(k).unwrap());
                    continue;
                }
                0x06 => return k,
                0x15 => loaded == k,
                0x35 => loaded >= k,
                0x45 => loaded & k != 0,
                other => panic!("code {other:#x}"),
            };
            at += usize::from(if jump { step[2] } else { step[3] });
        }
    }

    fn answer(arch: &Arch, call: Syscall, arguments: [u64; 6]) -> u32 {
        let (audit, number) = match arch {
            Arch::X86_64 => (AUDIT_X86_64, call.x86_64),
            _ => (AUDIT_AARCH64, call.aarch64),
        };
        run(&default_filter(arch).unwrap(), audit, number.unwrap(), arguments)
    }

    #[test]
    fn calls_that_change_the_machine_are_refused_and_others_are_not() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for call in REFUSED {
                let has = if arch == Arch::X86_64 {
                    call.x86_64
                } else {
                    call.aarch64
                };
                if has.is_some() {
                    assert_eq!(answer(&arch, *call, [0; 6]), EPERM, "{} {arch:?}", call.name);
                }
            }
        }
        // read, openat, execve, kill, seccomp, prctl on x86_64.
        for number in [0, 257, 59, 62, 317, 157] {
            assert_eq!(
                run(
                    &default_filter(&Arch::X86_64).unwrap(),
                    AUDIT_X86_64,
                    number,
                    [0; 6]
                ),
                ALLOW
            );
        }
    }

    #[test]
    fn new_namespaces_are_refused_and_new_threads_are_not() {
        let (thread, fork, user, net) = (0x003d_0f00, 17, 0x1000_0000, 0x4000_0000 | 17);
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let clone = |flags| answer(&arch, CLONE, [flags, 0, 0, 0, 0, 0]);
            assert_eq!([clone(thread), clone(fork)], [ALLOW, ALLOW]);
            assert_eq!([clone(user), clone(net)], [EPERM, EPERM]);
            let unshare = |flags| answer(&arch, UNSHARE, [flags, 0, 0, 0, 0, 0]);
            assert_eq!(
                [unshare(user), unshare(0x80), unshare(0x400)],
                [EPERM, EPERM, ALLOW]
            );
            assert_eq!(answer(&arch, CLONE3, [0; 6]), ENOSYS);
        }
    }

    #[test]
    fn arguments_are_looked_at_where_they_decide() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let ioctl = |command| answer(&arch, IOCTL, [0, command, 0, 0, 0, 0]);
            assert_eq!(
                [ioctl(0x5412), ioctl(0x541c), ioctl(0x5413)],
                [EPERM, EPERM, ALLOW]
            );
            // The kernel looks at the lower half only, so the filter does.
            assert_eq!(ioctl(0xffff_ffff_0000_5412), EPERM);
            let socket = |family| answer(&arch, SOCKET, [family, 1, 0, 0, 0, 0]);
            assert_eq!([socket(1), socket(2), socket(10), socket(16)], [ALLOW; 4]);
            assert_eq!([socket(17), socket(38), socket(40)], [EAFNOSUPPORT; 3]);
            let personality = |value| answer(&arch, PERSONALITY, [value, 0, 0, 0, 0, 0]);
            assert_eq!(
                [personality(0), personality(0xffff_ffff), personality(0x4_0000)],
                [ALLOW, ALLOW, EPERM]
            );
        }
    }

    #[test]
    fn other_architectures_and_the_x32_abi_are_no_way_round() {
        let filter = default_filter(&Arch::X86_64).unwrap();
        let i386 = 0x4000_0003;
        assert_eq!(run(&filter, i386, 3, [0; 6]), KILL_PROCESS);
        assert_eq!(run(&filter, AUDIT_X86_64, X32 | 165, [0; 6]), EPERM);
        assert_eq!(run(&filter, AUDIT_X86_64, X32, [0; 6]), EPERM);
        assert_eq!(
            run(&default_filter(&Arch::Aarch64).unwrap(), AUDIT_X86_64, 0, [0; 6]),
            KILL_PROCESS
        );
        assert_eq!(default_filter(&Arch::Other("riscv64".into())), None);
    }
}
