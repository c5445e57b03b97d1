//! What a supervisor sees of the machine it runs on: whether that slept, and how it reaches the network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How much longer than its tick a pause must have been to count as sleep: a busy machine is late, too.
const SLEPT: Duration = Duration::from_secs(5);

/// Addresses outside (RFC 5737, RFC 3849), which stand for the network where there is no route to the peer's last
/// address, or none is known: the next network may know the host by another one.
const OUTSIDE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// The machine, as far as it matters to a connection. Tests have one of their own.
pub(super) trait Surroundings: Send + Sync {
    /// How often to look.
    fn tick(&self) -> Duration;

    /// The time of a clock that goes on while the machine sleeps. Only differences mean anything.
    fn clock(&self) -> Duration;

    /// The local address from which packets to the peer leave now. `None`: there is no route.
    fn source_for(&self, peer: SocketAddr) -> Option<IpAddr>;

    /// Whether this machine still has the address.
    fn has_address(&self, address: IpAddr) -> bool;

    /// Whether this process can open nothing more at the moment.
    fn out_of_files(&self) -> bool;
}

/// What was seen at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    clock: Duration,
    source: Option<IpAddr>,
}

impl Seen {
    pub(super) fn now(surroundings: &dyn Surroundings, peer: Option<SocketAddr>) -> Self {
        Self {
            clock: surroundings.clock(),
            source: peer
                .into_iter()
                .chain(OUTSIDE)
                .find_map(|address| surroundings.source_for(address)),
        }
    }

    /// Whether something has happened, by the next look a tick later, after which a connection may be dead without
    /// knowing it, and a failed one may succeed: the machine slept, or packets leave it from another address. That
    /// there is no route is no such reason, for it may be the same one that comes back.
    pub(super) fn stirred(&self, next: &Self, tick: Duration) -> bool {
        let slept = next.clock.saturating_sub(self.clock) > tick + SLEPT;
        slept || (next.source.is_some() && next.source != self.source)
    }

    /// Whether the address of this moment is none of this machine any more: what was sent from it gets no answer.
    pub(super) fn stranded(&self, surroundings: &dyn Surroundings) -> bool {
        self.source
            .is_some_and(|address| !surroundings.has_address(address))
    }

    /// Whether there was a route at this moment, and there is none by now.
    pub(super) fn route_lost(&self, now: &Self) -> bool {
        self.source.is_some() && now.source.is_none()
    }
}

/// This machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct System;

impl Surroundings for System {
    fn tick(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn clock(&self) -> Duration {
        clock()
    }

    /// Asks the routing table, as `ip route get` does: connecting a UDP socket chooses the source and sends nothing.
    fn source_for(&self, peer: SocketAddr) -> Option<IpAddr> {
        let any = match peer {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(peer).ok()?;
        Some(socket.local_addr().ok()?.ip())
    }

    /// Only an address of one's own can be bound to (ip(7)).
    fn has_address(&self, address: IpAddr) -> bool {
        let bound = UdpSocket::bind((address, 0));
        !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    }

    /// Sockets and files have one limit (RLIMIT_NOFILE in getrlimit(2)).
    fn out_of_files(&self) -> bool {
        let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        bound.is_err_and(|error| error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()))
    }
}

/// The time since the machine started, sleep included (clock_gettime(2)): setting the time of day does not move it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn clock() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// The time of day. Where somebody sets it forward, that looks like sleep, and costs one probe.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn clock() -> Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(seconds: u64, source: Option<&str>) -> Seen {
        Seen {
            clock: Duration::from_secs(seconds),
            source: source.map(|text| text.parse().unwrap()),
        }
    }

    #[test]
    fn sleep_and_another_way_out_are_noticed_and_nothing_else_is() {
        const HERE: Option<&str> = Some("10.0.0.5");
        for (before, next, expected, what) in [
            (seen(0, HERE), seen(1, HERE), false, "nothing happened"),
            (seen(0, HERE), seen(5, HERE), false, "a busy machine was late"),
            (seen(0, HERE), seen(7, HERE), true, "it slept"),
            (
                seen(9, HERE),
                seen(0, HERE),
                false,
                "the time of day was set back",
            ),
            (seen(0, HERE), seen(1, Some("10.9.9.9")), true, "another network"),
            (seen(0, HERE), seen(1, None), false, "no network"),
            (seen(0, None), seen(1, HERE), true, "the network is back"),
            (seen(0, None), seen(1, None), false, "still no network"),
            (seen(0, None), seen(9, None), true, "it slept without a network"),
        ] {
            assert_eq!(before.stirred(&next, Duration::from_secs(1)), expected, "{what}");
        }
    }

    #[test]
    fn only_a_route_that_was_there_can_be_lost() {
        for (before, now, lost) in [
            (Some("10.0.0.5"), None, true),
            (Some("10.0.0.5"), Some("10.9.9.9"), false),
            (None, None, false),
            (None, Some("10.0.0.5"), false),
        ] {
            assert_eq!(seen(0, before).route_lost(&seen(1, now)), lost);
        }
    }

    #[test]
    fn this_machine_reaches_itself_from_the_loopback_address() {
        let peer = "127.0.0.1:22".parse().unwrap();
        assert_eq!(System.source_for(peer), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn this_machine_has_the_loopback_address_and_none_that_is_kept_for_documents() {
        assert!(System.has_address(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(!System.has_address(OUTSIDE[0].ip()));
        assert!(!seen(0, Some("127.0.0.1")).stranded(&System));
        assert!(seen(0, Some("192.0.2.1")).stranded(&System));
        assert!(!seen(0, None).stranded(&System));
    }

    #[test]
    fn the_clock_goes_on() {
        let before = System.clock();
        while System.clock() == before {
            std::thread::yield_now();
        }
        assert!(System.clock() > before);
    }
}
