//! What rules can be about.

/// Operations that are allowed and denied together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Category {
    pub(super) module: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The functions that a rule can name.
    pub(super) functions: &'static [&'static str],
}

/// What the resources of a category are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `HOST`, or `HOST:WHAT`.
    Host,
    /// `HOST`, `HOST:REMOTE`, or `HOST:SRC->DST`.
    Transfer,
    Path,
    Text,
}

pub(super) static CONNECT: Category = Category {
    module: "ssh",
    name: "connect",
    kind: Kind::Host,
    functions: &["config", "connect", "exec", "script", "shell", "spawn", "expect"],
};

pub(super) static TRANSFER: Category = Category {
    module: "ssh",
    name: "transfer",
    kind: Kind::Transfer,
    functions: &["upload", "download"],
};

pub(super) static FORWARD: Category = Category {
    module: "ssh",
    name: "forward",
    kind: Kind::Host,
    functions: &["forward_local", "forward_remote", "forward_dynamic"],
};

pub(super) static READ: Category = Category {
    module: "fs",
    name: "read",
    kind: Kind::Path,
    functions: &[
        "chdir",
        "copy_to",
        "disk_usage",
        "exists",
        "file",
        "glob",
        "group",
        "hash",
        "hardlink_to",
        "inventory",
        "is_dir",
        "is_file",
        "is_symlink",
        "key",
        "known_hosts",
        "listdir",
        "load",
        "owner",
        "read_bytes",
        "read_text",
        "readlink",
        "resolve",
        "script",
        "ssh_config",
        "stat",
        "upload",
        "var_file",
        "walk",
        "which",
    ],
};

pub(super) static WRITE: Category = Category {
    module: "fs",
    name: "write",
    kind: Kind::Path,
    functions: &[
        "append_bytes",
        "append_text",
        "chmod",
        "chown",
        "copy_to",
        "download",
        "hardlink_to",
        "known_hosts",
        "mkdir",
        "move_to",
        "rename",
        "symlink_to",
        "touch",
        "truncate",
        "write_bytes",
        "write_file",
        "write_text",
    ],
};

pub(super) static DELETE: Category = Category {
    module: "fs",
    name: "delete",
    kind: Kind::Path,
    functions: &["move_to", "remove", "rename"],
};

pub(super) static PROCESS: Category = Category {
    module: "os",
    name: "process",
    kind: Kind::Text,
    functions: &["exec", "exit"],
};

pub(super) static ENV: Category = Category {
    module: "os",
    name: "env",
    kind: Kind::Text,
    functions: &["env", "setenv", "unsetenv"],
};

pub(super) static ALL: [&Category; 8] = [
    &CONNECT, &TRANSFER, &FORWARD, &READ, &WRITE, &DELETE, &PROCESS, &ENV,
];
