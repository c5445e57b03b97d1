//! From a name to a TCP connection: resolve, then try the addresses in a staggered race (RFC 8305).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::net::{TcpSocket as Dialer, TcpStream};
use tokio::task::JoinSet;

use super::link::Link;
use super::socket::TcpSocket;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// How long an address may stay silent before the next one is tried beside it (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Turns host names into addresses. The default asks the operating system.
pub trait Resolve: Send + Sync {
    /// All addresses of a name, in order of preference.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;
}

/// The operating system's resolver (getaddrinfo).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Resolves and connects, and leaves in the link what it finds. Each address that failed is named in the error.
pub(crate) async fn dial(
    resolver: &dyn Resolve,
    host: &str,
    port: u16,
    bind: Option<IpAddr>,
    link: &Link,
) -> Result<TcpSocket> {
    let found = resolver
        .resolve(host, port)
        .await
        .map_err(|error| unresolved(host, &error))?;
    let addresses = in_order(found, bind);
    if addresses.is_empty() {
        return Err(no_address(host, bind));
    }
    link.set_resolved(&addresses);
    link.clock.enter(Phase::Tcp);
    match race(&addresses, bind).await {
        Ok((stream, address)) => {
            // Every request is one small write: Nagle's algorithm would hold each back for a round trip.
            stream.set_nodelay(true).map_err(|error| local(&error))?;
            link.set_peer(address);
            Ok(TcpSocket::new(stream))
        }
        Err(failures) => Err(unconnected(host, port, &failures)),
    }
}

/// Families alternate, the resolver's first choice first (RFC 8305 section 4); only those the bind address can use.
fn in_order(found: Vec<SocketAddr>, bind: Option<IpAddr>) -> Vec<SocketAddr> {
    let mut usable: Vec<SocketAddr> = Vec::new();
    for address in found {
        if bind.is_none_or(|bind| bind.is_ipv6() == address.is_ipv6()) && !usable.contains(&address) {
            usable.push(address);
        }
    }
    let Some(first_is_v6) = usable.first().map(SocketAddr::is_ipv6) else {
        return usable;
    };
    let (same, other): (Vec<_>, Vec<_>) = usable
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut ordered = Vec::with_capacity(same.len() + other.len());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let pair = (same.next(), other.next());
        ordered.extend(pair.0);
        ordered.extend(pair.1);
        if pair == (None, None) {
            return ordered;
        }
    }
}

type Failures = Vec<(SocketAddr, io::Error)>;

/// The first address that answers wins; the others are dropped. Dropping the future drops every attempt.
async fn race(
    addresses: &[SocketAddr],
    bind: Option<IpAddr>,
) -> std::result::Result<(TcpStream, SocketAddr), Failures> {
    let mut attempts = JoinSet::new();
    let mut failures = Failures::new();
    let mut waiting = addresses.iter().copied();
    let mut exhausted = false;
    loop {
        match waiting.next() {
            Some(address) => {
                attempts.spawn(async move { (address, connect(address, bind).await) });
            }
            None => exhausted = true,
        }
        // Until the next attempt is due, or no other is left and only the running ones can decide.
        let due = tokio::time::sleep(ATTEMPT_DELAY);
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due, if !exhausted => break,
                ended = attempts.join_next() => match ended {
                    Some(Ok((address, Ok(stream)))) => return Ok((stream, address)),
                    Some(Ok((address, Err(error)))) => {
                        failures.push((address, error));
                        if !exhausted {
                            break;
                        }
                    }
                    Some(Err(_)) => {}
                    None => return Err(failures),
                },
            }
        }
    }
}

async fn connect(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let dialer = if address.is_ipv6() {
        Dialer::new_v6()
    } else {
        Dialer::new_v4()
    }?;
    if let Some(bind) = bind {
        dialer.bind(SocketAddr::new(bind, 0))?;
    }
    dialer.connect(address).await
}

/// Whether this process, or the whole machine, may not open another file.
#[cfg(unix)]
fn lacks_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Sockets are no files there.
#[cfg(not(unix))]
fn lacks_files(_: &io::Error) -> bool {
    false
}

fn too_many_files(host: &str, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Local,
        format!("too many files are open to connect to {host} as well"),
    )
    .with_source_text(error)
    .with_hint("raise the limit (ulimit -n), or work on fewer hosts at once")
}

fn unresolved(host: &str, error: &io::Error) -> Error {
    if lacks_files(error) {
        return too_many_files(host, error).in_phase(Phase::Resolve);
    }
    Error::new(ErrorKind::HostUnreachable, format!("cannot resolve {host}"))
        .in_phase(Phase::Resolve)
        .with_source_text(error)
        .with_hint("check the spelling, and that this machine's resolver knows the name")
}

fn no_address(host: &str, bind: Option<IpAddr>) -> Error {
    let reason = match bind {
        Some(IpAddr::V4(any)) if any.is_unspecified() => format!("{host} has no IPv4 address"),
        Some(IpAddr::V6(any)) if any.is_unspecified() => format!("{host} has no IPv6 address"),
        Some(bind) => format!("{host} has no address that can be reached from {bind}"),
        None => format!("{host} has no address"),
    };
    Error::new(ErrorKind::HostUnreachable, reason)
        .in_phase(Phase::Resolve)
        .with_hint("check the name's DNS records, or the bind address and the address family")
}

fn local(error: &io::Error) -> Error {
    Error::new(ErrorKind::Local, "cannot set up the socket")
        .in_phase(Phase::Tcp)
        .with_source_text(error)
}

/// One error for all addresses: the kind is that of the address that came furthest.
fn unconnected(host: &str, port: u16, failures: &Failures) -> Error {
    if let Some((_, error)) = failures.iter().find(|(_, error)| lacks_files(error)) {
        return too_many_files(host, error).in_phase(Phase::Tcp);
    }
    let kinds: Vec<ErrorKind> = failures.iter().map(|(_, error)| classify(error)).collect();
    let order = [
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionTimeout,
        ErrorKind::HostUnreachable,
    ];
    let kind = order
        .into_iter()
        .find(|kind| kinds.contains(kind))
        .unwrap_or(ErrorKind::Connection);
    let tried: Vec<String> = failures
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    let (what, hint) = match kind {
        ErrorKind::ConnectionRefused => (
            format!("connection refused by {host} port {port}"),
            "check that an SSH server runs there, and listens on this port",
        ),
        ErrorKind::ConnectionTimeout => (
            format!("no answer from {host} port {port}"),
            "check the address and any firewall between here and there",
        ),
        ErrorKind::HostUnreachable => (
            format!("{host} cannot be reached from here"),
            "check the route, the VPN, and the address",
        ),
        _ => (
            format!("cannot connect to {host} port {port}"),
            "see the reason given for each address",
        ),
    };
    Error::new(kind, what)
        .in_phase(Phase::Tcp)
        .with_source_text(&tried.join("; "))
        .with_extra("addresses", tried)
        .with_hint(hint)
}

/// By kind, which follows errno, never by text.
fn classify(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorKind::ConnectionRefused,
        io::ErrorKind::TimedOut => ErrorKind::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            ErrorKind::HostUnreachable
        }
        _ => ErrorKind::Connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::PhaseClock;

    fn link() -> Link {
        Link::new(PhaseClock::start(Phase::Resolve))
    }

    #[cfg(unix)]
    #[test]
    fn a_process_without_room_for_another_file_is_told_so_and_what_to_do() {
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            let error = || io::Error::from(errno);
            let failures = vec![("127.0.0.1:22".parse().unwrap(), error())];
            for error in [unconnected("h", 22, &failures), unresolved("h", &error())] {
                assert_eq!(*error.kind(), ErrorKind::Local);
                assert!(error.to_string().contains("too many files are open"), "{error}");
                assert!(error.hint().contains("ulimit -n"));
            }
        }
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_the_resolvers_first_choice_stays_first() {
        let found = addresses(&[
            "[::1]:22",
            "[::2]:22",
            "127.0.0.1:22",
            "127.0.0.2:22",
            "127.0.0.2:22",
        ]);
        assert_eq!(
            in_order(found.clone(), None),
            addresses(&["[::1]:22", "127.0.0.1:22", "[::2]:22", "127.0.0.2:22"])
        );
        let v4 = Some("127.0.0.1".parse().unwrap());
        assert_eq!(in_order(found, v4), addresses(&["127.0.0.1:22", "127.0.0.2:22"]));
    }

    #[test]
    fn the_kind_follows_the_errno_of_the_address_that_came_furthest() {
        let at = |errno| {
            (
                addresses(&["127.0.0.1:1"])[0],
                io::Error::from_raw_os_error(errno),
            )
        };
        #[cfg(target_os = "linux")]
        for (errnos, kind) in [
            (&[111][..], ErrorKind::ConnectionRefused),
            (&[113], ErrorKind::HostUnreachable),
            (&[101], ErrorKind::HostUnreachable),
            (&[110], ErrorKind::ConnectionTimeout),
            (&[113, 111], ErrorKind::ConnectionRefused),
            (&[13], ErrorKind::Connection),
        ] {
            let failures: Failures = errnos.iter().map(|errno| at(*errno)).collect();
            assert_eq!(unconnected("h", 1, &failures).kind(), &kind, "{errnos:?}");
        }
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_a_live_one_waiting_for_its_timeout() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        // A listener whose queue is full answers nobody.
        let full = Dialer::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = full.listen(1).unwrap();
        let silent_address = silent.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(silent_address)).await
        {
            filling.push(stream);
        }
        let (_, address) = race(&[silent_address, live], None).await.unwrap();
        assert_eq!(address, live);
    }

    #[tokio::test]
    async fn the_connection_sends_small_packets_at_once_and_comes_from_the_bind_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bind = "127.0.0.7".parse().ok();
        let link = link();
        let socket = dial(&SystemResolver, "127.0.0.1", port, bind, &link)
            .await
            .unwrap();
        assert!(socket.sends_at_once());
        assert_eq!(listener.accept().await.unwrap().1.ip().to_string(), "127.0.0.7");
        assert_eq!(link.clock.phase(), Phase::Tcp);
        let there = addresses(&[&format!("127.0.0.1:{port}")]);
        assert_eq!((link.resolved(), link.peer()), (&there[..], Some(there[0])));
    }

    #[tokio::test]
    async fn a_refused_port_and_an_unknown_name_are_told_apart() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let refused = dial(&SystemResolver, "127.0.0.1", free, None, &link())
            .await
            .unwrap_err();
        assert_eq!(
            (refused.kind(), refused.phase()),
            (&ErrorKind::ConnectionRefused, Some(Phase::Tcp))
        );

        let unknown = dial(&SystemResolver, "no-such-host.invalid", 22, None, &link())
            .await
            .unwrap_err();
        assert_eq!(
            (unknown.kind(), unknown.phase()),
            (&ErrorKind::HostUnreachable, Some(Phase::Resolve))
        );
    }
}
