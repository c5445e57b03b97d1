//! The numbers of system calls, from the kernel's `syscall_64.tbl` and `asm-generic/unistd.h`. From 424 on they are the same
//! everywhere.

/// A system call's numbers on x86_64 and on aarch64, as far as these have it.
#[derive(Clone, Copy)]
pub(super) struct Syscall {
    #[cfg_attr(not(test), expect(dead_code, reason = "says which one it is"))]
    pub(super) name: &'static str,
    pub(super) x86_64: Option<u32>,
    pub(super) aarch64: Option<u32>,
}

const fn both(name: &'static str, x86_64: u32, aarch64: u32) -> Syscall {
    Syscall {
        name,
        x86_64: Some(x86_64),
        aarch64: Some(aarch64),
    }
}

const fn x86_64(name: &'static str, number: u32) -> Syscall {
    Syscall {
        name,
        x86_64: Some(number),
        aarch64: None,
    }
}

const fn same(name: &'static str, number: u32) -> Syscall {
    both(name, number, number)
}

pub(super) const CLONE: Syscall = both("clone", 56, 220);
pub(super) const CLONE3: Syscall = same("clone3", 435);
pub(super) const UNSHARE: Syscall = both("unshare", 272, 97);
pub(super) const IOCTL: Syscall = both("ioctl", 16, 29);
pub(super) const SOCKET: Syscall = both("socket", 41, 198);
pub(super) const PERSONALITY: Syscall = both("personality", 135, 92);

/// What no program in a sandbox has to do: each changes the machine, looks into other processes, or has been a way into
/// the kernel time and again. Much the same is refused by Docker and Flatpak.
pub(super) const REFUSED: &[Syscall] = &[
    // Mounts, and files by a way that passes by them.
    both("mount", 165, 40),
    both("umount2", 166, 39),
    both("pivot_root", 155, 41),
    both("chroot", 161, 51),
    same("open_tree", 428),
    same("move_mount", 429),
    same("fsopen", 430),
    same("fsconfig", 431),
    same("fsmount", 432),
    same("fspick", 433),
    same("mount_setattr", 442),
    same("open_tree_attr", 467),
    both("name_to_handle_at", 303, 264),
    both("open_by_handle_at", 304, 265),
    both("fanotify_init", 300, 262),
    // Namespaces.
    both("setns", 308, 268),
    // Other processes.
    both("ptrace", 101, 117),
    both("process_vm_readv", 310, 270),
    both("process_vm_writev", 311, 271),
    both("kcmp", 312, 272),
    same("pidfd_getfd", 438),
    both("mbind", 237, 235),
    both("set_mempolicy", 238, 237),
    both("migrate_pages", 256, 238),
    both("move_pages", 279, 239),
    // Code in the kernel, and what has been used to get it there.
    both("init_module", 175, 105),
    both("finit_module", 313, 273),
    both("delete_module", 176, 106),
    x86_64("create_module", 174),
    x86_64("query_module", 178),
    both("kexec_load", 246, 104),
    both("kexec_file_load", 320, 294),
    both("bpf", 321, 280),
    both("perf_event_open", 298, 241),
    both("userfaultfd", 323, 282),
    same("io_uring_setup", 425),
    same("io_uring_enter", 426),
    same("io_uring_register", 427),
    // Keys of the kernel's, which no namespace keeps apart.
    both("add_key", 248, 217),
    both("request_key", 249, 218),
    both("keyctl", 250, 219),
    // The machine.
    both("reboot", 169, 142),
    both("swapon", 167, 224),
    both("swapoff", 168, 225),
    both("settimeofday", 164, 170),
    both("clock_settime", 227, 112),
    both("clock_adjtime", 305, 266),
    both("adjtimex", 159, 171),
    both("sethostname", 170, 161),
    both("setdomainname", 171, 162),
    both("syslog", 103, 116),
    both("acct", 163, 89),
    both("quotactl", 179, 60),
    same("quotactl_fd", 443),
    both("vhangup", 153, 58),
    x86_64("iopl", 172),
    x86_64("ioperm", 173),
    x86_64("modify_ldt", 154),
    // Old ones that nothing uses.
    both("nfsservctl", 180, 42),
    both("lookup_dcookie", 212, 18),
    x86_64("uselib", 134),
    x86_64("ustat", 136),
    x86_64("sysfs", 139),
    x86_64("_sysctl", 156),
];
