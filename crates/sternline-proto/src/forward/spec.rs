//! One forward and its written form.

use std::fmt;
use std::net::IpAddr;

use super::error::ForwardError;
use super::parse::parse;

/// One forward: who listens where, and where its connections go.
///
/// [`fmt::Display`] writes it so that the function for its [option](ForwardIntent::option) reads back the same value.
///
/// ```
/// use sternline_proto::forward::{BindAddress, ConnectAddress, ForwardIntent, ListenAddress};
///
/// let forward = ForwardIntent::local("8080:[2001:db8::1]:80")?;
/// assert_eq!(forward.listen, ListenAddress::Tcp { bind: BindAddress::Loopback, port: 8080 });
/// assert_eq!(forward.connect, Some(ConnectAddress::Tcp { host: "2001:db8::1".to_owned(), port: 80 }));
/// assert_eq!(forward.to_string(), "8080:[2001:db8::1]:80");
/// # Ok::<(), sternline_proto::forward::ForwardError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardIntent {
    /// The end of the SSH connection that listens. The other one connects.
    pub listener: Side,
    /// Where it listens.
    pub listen: ListenAddress,
    /// Where its connections go. `None` for a dynamic forward: each client says so itself, by SOCKS.
    pub connect: Option<ConnectAddress>,
}

/// The kinds of forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForwardType {
    /// It listens here, and the server connects.
    Local,
    /// The server listens, and this side connects.
    Remote,
    /// It listens here, and the server connects to where each client wants to go.
    Dynamic,
}

impl ForwardType {
    /// The name in JSON: `local`, `remote` or `dynamic`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Dynamic => "dynamic",
        }
    }
}

/// One end of an SSH connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Here, at the client.
    Local,
    /// At the server.
    Remote,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP port.
    Tcp {
        /// On which interfaces.
        bind: BindAddress,
        /// The port. 0 lets the listening system choose one.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path. Never empty, and without a zero byte.
        path: String,
    },
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConnectAddress {
    /// A TCP port of a host, as the connecting side names it.
    Tcp {
        /// A name, or an address without brackets.
        host: String,
        /// The port. Never 0.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path. Never empty, and without a zero byte.
        path: String,
    },
}

/// The interfaces on which a TCP port is opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// All loopback addresses: what no bind address means, and `localhost`.
    Loopback,
    /// All interfaces, written `*` or as an empty bind address. Who can reach the machine can use the forward.
    All,
    /// This address or name, which may be as public as [`BindAddress::All`]: see [`BindAddress::is_loopback`].
    Address(String),
}

impl BindAddress {
    /// Whether it is certain that only the listening machine itself can connect. Of a name other than `localhost` it
    /// is not.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Loopback => true,
            Self::All => false,
            Self::Address(address) => address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        }
    }

    /// The address in a request to the server to listen (RFC 4254 section 7.1).
    #[must_use]
    pub fn in_request(&self) -> &str {
        match self {
            Self::Loopback => "localhost",
            Self::All => "",
            Self::Address(address) => address,
        }
    }
}

impl ForwardIntent {
    /// Reads the argument of `-L`: `[BIND_ADDRESS:]PORT:HOST:HOSTPORT`, with a socket's path in place of the first
    /// two, the last two, or both.
    ///
    /// # Errors
    /// [`ForwardError`], which shows the text.
    pub fn local(spec: &str) -> Result<Self, ForwardError> {
        parse("-L", spec)
    }

    /// Reads the argument of `-R`: the forms of `-L`, and `[BIND_ADDRESS:]PORT` or a path alone for a proxy whose
    /// clients are at the server.
    ///
    /// # Errors
    /// [`ForwardError`], which shows the text.
    pub fn remote(spec: &str) -> Result<Self, ForwardError> {
        parse("-R", spec)
    }

    /// Reads the argument of `-D`: `[BIND_ADDRESS:]PORT`, or the path of a socket.
    ///
    /// # Errors
    /// [`ForwardError`], which shows the text.
    pub fn dynamic(spec: &str) -> Result<Self, ForwardError> {
        parse("-D", spec)
    }

    /// The kind of forward. One that listens at the server and lets each client say where it wants to go is remote.
    #[must_use]
    pub fn forward_type(&self) -> ForwardType {
        match (self.listener, &self.connect) {
            (Side::Remote, _) => ForwardType::Remote,
            (Side::Local, Some(_)) => ForwardType::Local,
            (Side::Local, None) => ForwardType::Dynamic,
        }
    }

    /// The address at this end of the SSH connection: that of the listener, or of what is connected to. `None` for a
    /// unix socket, and for a remote forward whose clients say where they want to go.
    #[must_use]
    pub fn local_host(&self) -> Option<&str> {
        self.end(Side::Local).map(|(host, _)| host)
    }

    /// The port at this end.
    #[must_use]
    pub fn local_port(&self) -> Option<u16> {
        self.end(Side::Local).map(|(_, port)| port)
    }

    /// The address at the server's end. `None` for a unix socket and for a dynamic forward.
    #[must_use]
    pub fn remote_host(&self) -> Option<&str> {
        self.end(Side::Remote).map(|(host, _)| host)
    }

    /// The port at the server's end.
    #[must_use]
    pub fn remote_port(&self) -> Option<u16> {
        self.end(Side::Remote).map(|(_, port)| port)
    }

    fn end(&self, side: Side) -> Option<(&str, u16)> {
        if side == self.listener {
            let ListenAddress::Tcp { bind, port } = &self.listen else {
                return None;
            };
            let host = match bind {
                BindAddress::Loopback => "localhost",
                BindAddress::All => "*",
                BindAddress::Address(address) => address,
            };
            Some((host, *port))
        } else {
            let Some(ConnectAddress::Tcp { host, port }) = &self.connect else {
                return None;
            };
            Some((host, *port))
        }
    }

    /// The option of ssh(1) for this forward: `-L`, `-R` or `-D`.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match self.forward_type() {
            ForwardType::Local => "-L",
            ForwardType::Remote => "-R",
            ForwardType::Dynamic => "-D",
        }
    }
}

impl fmt::Display for ForwardIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listen.fmt(f)?;
        match &self.connect {
            Some(connect) => write!(f, ":{connect}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { bind, port } => match bind {
                BindAddress::Loopback => write!(f, "{port}"),
                BindAddress::All => write!(f, "*:{port}"),
                BindAddress::Address(address) => write!(f, "{}:{port}", written(address)),
            },
            Self::Unix { path } => f.write_str(&written(path)),
        }
    }
}

impl fmt::Display for ConnectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{}:{port}", written(host)),
            Self::Unix { path } => f.write_str(&written(path)),
        }
    }
}

/// An address or a path as a field: in brackets if it holds a colon, and where they do not help, with backslashes.
fn written(text: &str) -> String {
    let special = |c| matches!(c, ':' | '\\') || (c == '[' && text.starts_with('['));
    if !text.contains(special) {
        text.to_owned()
    } else if !text.contains(']') {
        format!("[{text}]")
    } else {
        let escape_one = |c| {
            if special(c) {
                format!("\\{c}")
            } else {
                String::from(c)
            }
        };
        text.chars().map(escape_one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ends_are_told_apart_whichever_of_them_listens() {
        type Ends<'a> = (Option<(&'a str, u16)>, Option<(&'a str, u16)>);
        let table: [(&str, ForwardIntent, Ends); 6] = [
            (
                "local",
                ForwardIntent::local("0:db:5432").unwrap(),
                (Some(("localhost", 0)), Some(("db", 5432))),
            ),
            (
                "local",
                ForwardIntent::local("/run/here:db:5432").unwrap(),
                (None, Some(("db", 5432))),
            ),
            (
                "remote",
                ForwardIntent::remote("*:80:web:8080").unwrap(),
                (Some(("web", 8080)), Some(("*", 80))),
            ),
            (
                "remote",
                ForwardIntent::remote("1080").unwrap(),
                (None, Some(("localhost", 1080))),
            ),
            (
                "dynamic",
                ForwardIntent::dynamic("127.0.0.9:1080").unwrap(),
                (Some(("127.0.0.9", 1080)), None),
            ),
            (
                "dynamic",
                ForwardIntent::dynamic("/run/socks").unwrap(),
                (None, None),
            ),
        ];
        for (forward_type, intent, ends) in table {
            assert_eq!(intent.forward_type().as_str(), forward_type);
            assert_eq!(
                (
                    intent.local_host().zip(intent.local_port()),
                    intent.remote_host().zip(intent.remote_port())
                ),
                ends,
                "{intent}"
            );
        }
    }

    #[test]
    fn only_an_address_that_is_certainly_loopback_counts_as_such() {
        for (bind, is_loopback, in_request) in [
            (BindAddress::Loopback, true, "localhost"),
            (BindAddress::Address("127.0.0.7".to_owned()), true, "127.0.0.7"),
            (BindAddress::Address("::1".to_owned()), true, "::1"),
            (BindAddress::All, false, ""),
            (BindAddress::Address("0.0.0.0".to_owned()), false, "0.0.0.0"),
            (BindAddress::Address("::".to_owned()), false, "::"),
            (BindAddress::Address("web".to_owned()), false, "web"),
        ] {
            assert_eq!((bind.is_loopback(), bind.in_request()), (is_loopback, in_request));
        }
    }

    #[test]
    fn a_forward_is_written_as_short_as_it_can_be() {
        for (text, written) in [
            ("localhost:80:web:80", "80:web:80"),
            (":80:[web]:80", "*:80:web:80"),
            ("[::1]:80:[::1]:80", "[::1]:80:[::1]:80"),
            ("80:[/run/x]", "80:/run/x"),
            ("80:/a\\:b", "80:[/a:b]"),
            ("80:/a]\\:b", "80:/a]\\:b"),
        ] {
            assert_eq!(ForwardIntent::local(text).unwrap().to_string(), written);
        }
    }
}
