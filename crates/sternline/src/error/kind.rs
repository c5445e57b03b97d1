//! What kinds of failure there are, and what to do about each.

use sternline_proto::sftp::StatusCode;
use sternline_proto::sudo::SudoRefusal;

/// What went wrong.
///
/// [`ErrorKind::is_connection`] and [`ErrorKind::is_authentication`] give the two families of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The connection could not be made or was lost, for a reason that has no kind of its own.
    Connection,
    /// The server refused the TCP connection.
    ConnectionRefused,
    /// A phase of connecting did not end in time.
    ConnectionTimeout,
    /// No address was found for the host, or none can be reached from here.
    HostUnreachable,
    /// No credential was accepted.
    AuthFailed,
    /// The host key is unknown, changed, revoked, or its certificate is not acceptable.
    HostKeyMismatch,
    /// The two sides have no algorithm in common.
    NoMutualKex,
    /// A private key cannot be loaded.
    KeyLoad(KeyLoadReason),
    /// The SSH agent cannot be used.
    Agent(AgentReason),
    /// The server refused a channel or a request on it, or what it sent on one made no sense.
    Channel,
    /// A command did not end within its time limit.
    CommandTimeout,
    /// A command neither wrote nor read anything for as long as `KeepaliveConfig::progress_timeout` allows.
    ProgressTimeout,
    /// Output that was waited for did not come within its time limit.
    ExpectTimeout,
    /// What was asked of a guest was not done within its time limit, connecting included; the facts `operation` and
    /// `timeout_seconds` say what and how long.
    OperationTimeout,
    /// A command was cancelled by its caller.
    Cancelled,
    /// A command's channel closed without an exit status or signal.
    NoExitStatus,
    /// A command ended with a status other than 0, or by a signal; only `ExecResult::success` says so.
    CommandFailed,
    /// sudo did not start the command: see [`ExecRequest::sudo_password`](crate::ExecRequest::sudo_password).
    Sudo(SudoRefusal),
    /// A command was not run in its sandbox: see [`sandbox`](crate::sandbox).
    Sandbox(SandboxReason),
    /// A command wrote more than could be kept while nobody read it.
    OutputOverflow,
    /// The server did not do what was asked with a file of its own. The code is what SFTP says about it.
    RemoteFile(StatusCode),
    /// This machine did not do what was asked with a file of its own. The kind is what the system says about it.
    LocalFile(std::io::ErrorKind),
    /// An argument or setting makes no sense; nothing was attempted.
    Invalid,
    /// Something on this machine failed: a file, a process, a thread.
    Local,
}

/// Why a private key could not be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyLoadReason {
    /// There is no such file.
    FileNotFound,
    /// The file may not be read.
    PermissionDenied,
    /// The key is encrypted and the passphrase is missing or wrong.
    WrongPassphrase,
    /// The file is not a private key in a supported format.
    InvalidFormat,
    /// Anything else.
    Unknown,
}

impl KeyLoadReason {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileNotFound => "file_not_found",
            Self::PermissionDenied => "permission_denied",
            Self::WrongPassphrase => "wrong_passphrase",
            Self::InvalidFormat => "invalid_format",
            Self::Unknown => "unknown",
        }
    }
}

/// Why the SSH agent could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AgentReason {
    /// No agent is configured (`SSH_AUTH_SOCK` is not set).
    NoAuthSock,
    /// The agent's socket does not exist.
    SocketNotFound,
    /// The socket exists but nobody answers.
    ConnectionFailed,
    /// The agent answers, but not as an agent does, or refuses.
    CommunicationError,
    /// The agent holds no key.
    NoKeys,
}

impl AgentReason {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAuthSock => "no_auth_sock",
            Self::SocketNotFound => "socket_not_found",
            Self::ConnectionFailed => "connection_failed",
            Self::CommunicationError => "communication_error",
            Self::NoKeys => "no_keys",
        }
    }
}

/// Why a command was not run in its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SandboxReason {
    /// The profile does not allow the command, or one of its arguments. Nothing was sent.
    NotAllowed,
    /// The profile asks for what the host does not have, or cannot be used there as it is.
    Profile,
    /// There is no bubblewrap on the host.
    NoBubblewrap,
    /// The host lets the account make no user namespaces, without which bubblewrap can do nothing.
    NoUserNamespaces,
    /// Another program is missing that a sandbox needs there, such as setpriv for a login as root.
    MissingTool,
    /// The account has no shell that could start anything, such as nologin.
    LoginShell,
    /// What came back from the host made no sense.
    Answer,
}

impl SandboxReason {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::Profile => "profile",
            Self::NoBubblewrap => "no_bubblewrap",
            Self::NoUserNamespaces => "no_user_namespaces",
            Self::MissingTool => "missing_tool",
            Self::LoginShell => "login_shell",
            Self::Answer => "answer",
        }
    }
}

impl ErrorKind {
    /// The class name used in events and JSON; stable.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Connection => "SSHConnectionError",
            Self::ConnectionRefused => "ConnectionRefused",
            Self::ConnectionTimeout => "ConnectionTimeout",
            Self::HostUnreachable => "HostUnreachable",
            Self::AuthFailed => "AuthFailed",
            Self::HostKeyMismatch => "HostKeyMismatch",
            Self::NoMutualKex => "NoMutualKex",
            Self::KeyLoad(_) => "KeyLoadError",
            Self::Agent(_) => "AgentError",
            Self::Channel => "ChannelError",
            Self::CommandTimeout => "CommandTimeout",
            Self::ProgressTimeout => "ProgressTimeout",
            Self::ExpectTimeout => "ExpectTimeout",
            Self::OperationTimeout => "OperationTimeoutError",
            Self::Cancelled => "Cancelled",
            Self::NoExitStatus => "NoExitStatus",
            Self::CommandFailed => "CommandFailed",
            Self::Sudo(_) => "SudoError",
            Self::Sandbox(_) => "SandboxError",
            Self::OutputOverflow => "OutputOverflow",
            Self::RemoteFile(_) => "RemoteFileError",
            Self::LocalFile(_) => "LocalFileError",
            Self::Invalid => "InvalidArgument",
            Self::Local => "LocalError",
        }
    }

    /// What to do about it, where nothing more precise is known.
    pub(super) fn general_hint(&self) -> &'static str {
        match self {
            Self::Connection => "check the network and the server's log, then connect again",
            Self::ConnectionRefused => "check that an SSH server runs there, and listens on this port",
            Self::ConnectionTimeout => "check the address and any firewall between here and there",
            Self::HostUnreachable => "check the name, the route, and any VPN",
            Self::AuthFailed => "check the user name, and which keys and methods the server takes",
            Self::HostKeyMismatch => "ask the host's administrator for its fingerprint by another channel",
            Self::NoMutualKex => "update the server, or ask for stronger algorithms there",
            Self::KeyLoad(_) => "check the path, the permissions and the passphrase of the key",
            Self::Agent(_) => "start an agent and add a key with ssh-add, or name a key file",
            Self::Channel => "see the server's log for the reason",
            Self::CommandTimeout => "raise the time limit, or find out what the command waits for",
            Self::ProgressTimeout => "raise the limit, or find out what the command waits for",
            Self::ExpectTimeout => {
                "see what the program wrote instead; wait for that, or longer where it is only slow"
            }
            Self::OperationTimeout => "raise the time limit, or find out what it waits for",
            Self::Cancelled => "run the command again when it may go on",
            Self::NoExitStatus => "check on the server whether the command has done its work",
            Self::CommandFailed => "see what the command wrote",
            Self::Sudo(SudoRefusal::PasswordRefused) => {
                "check the password; sudo wants that of the account that logs in, unless its targetpw or rootpw is set"
            }
            Self::Sudo(SudoRefusal::NotInSudoers) => "have the account added to sudoers(5) there",
            Self::Sudo(SudoRefusal::NotAllowed) => {
                "see what `sudo -l` lists there: the rule has to allow sh, which starts the command"
            }
            Self::Sudo(SudoRefusal::TerminalRequired) => {
                "run it in a terminal (-t), or have requiretty taken out of sudoers(5) there"
            }
            Self::Sudo(SudoRefusal::Missing) => {
                "install sudo there, or put it into the PATH of a login without a shell's start-up files"
            }
            Self::Sudo(SudoRefusal::Question) => "answer it by hand, in a terminal of your own there",
            Self::Sudo(_) => "run sudo by hand there to see what it wants",
            Self::Sandbox(SandboxReason::NotAllowed) => {
                "use a profile that allows it, if it is to be allowed"
            }
            Self::Sandbox(SandboxReason::Profile) => "change the profile, or use another one for this host",
            Self::Sandbox(SandboxReason::NoBubblewrap) => "install the package bubblewrap there",
            Self::Sandbox(SandboxReason::NoUserNamespaces) => {
                "have the host's administrator allow user namespaces to the account"
            }
            Self::Sandbox(SandboxReason::MissingTool) => "install the package util-linux there",
            Self::Sandbox(SandboxReason::LoginShell) => "use an account with a shell such as sh or bash",
            Self::Sandbox(SandboxReason::Answer) => {
                "log in by hand, and see what the account's start-up files do there"
            }
            Self::RemoteFile(StatusCode::NoSuchFile) => {
                "check the path; one without a leading / begins where the server does, usually in the home directory"
            }
            Self::RemoteFile(StatusCode::PermissionDenied) => {
                "check owner and mode of the file, and of the directories above it, for the user who logged in"
            }
            Self::RemoteFile(StatusCode::OpUnsupported) => {
                "the server does not have this operation: do without it, or do it by a command"
            }
            // No space, and a quota: the numbers are those of the later drafts of SFTP.
            Self::RemoteFile(StatusCode::Other(14 | 15)) => {
                "make room on that file system, or choose another one"
            }
            Self::RemoteFile(_) => "see the server's log for the reason",
            Self::LocalFile(std::io::ErrorKind::NotFound) => "check the path",
            Self::LocalFile(std::io::ErrorKind::PermissionDenied) => {
                "check owner and mode of the file, and of the directories above it"
            }
            Self::LocalFile(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
                "make room on that file system, or choose another one"
            }
            Self::LocalFile(_) => "see the reason given, and mend it on this machine",
            Self::OutputOverflow => "read the output faster, or have the command write less",
            Self::Invalid => "correct the argument and try again",
            Self::Local => "see the reason given, and mend it on this machine",
        }
    }

    /// Whether the network or the server's end of it failed (`SSHConnectionError` and below).
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Connection | Self::ConnectionRefused | Self::ConnectionTimeout | Self::HostUnreachable
        )
    }

    /// Whether trust or credentials failed (`AuthenticationError` and below): trying again will not help.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            Self::AuthFailed | Self::HostKeyMismatch | Self::NoMutualKex | Self::KeyLoad(_) | Self::Agent(_)
        )
    }
}
