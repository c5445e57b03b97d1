//! The faults of a link, and their names.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sternline_proto::text::escape;
use thiserror::Error;

/// A way in which a link fails.
///
/// Its name is what [`fmt::Display`] prints and [`FromStr`] reads, so that a test can print the fault that it drew and a
/// person can give it again.
///
/// Two of them are moments: [`Fault::Drop`] and [`Fault::Reset`] happen to the connections that are open. All others last
/// until [`crate::fault::Faults::heal`]. Numbers of bytes are counted for each connection: for one that is open from the
/// moment when the fault is set, for a later one from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// `drop`: the connection is closed in both directions, as when the server's process ends.
    Drop,
    /// `drop-after:BYTES`: as `drop`, once this many bytes have passed, both directions together.
    DropAfter(u64),
    /// `reset`: the client gets a TCP reset (RFC 9293 section 3.5.2), which throws away what it has not read yet.
    Reset,
    /// `refuse`: nobody listens any more, so that a new connection is refused by the system. The port stays ours, and
    /// open connections stay as they are.
    Refuse,
    /// `black-hole`: nothing passes any more, not even a close, while the connection seems to be there. New connections
    /// are taken and stay silent. Healing resets those that were swallowed, as a firewall does that has lost its table.
    BlackHole,
    /// `stall`: nothing passes until healing, then everything does. New connections wait as well.
    Stall,
    /// `slow:BYTES`: at most this many bytes a second pass in each direction.
    Slow(u64),
    /// `latency:TIME`: every byte arrives this much later, in each direction, so that a round trip takes twice as long. A
    /// new connection begins with one, as TCP's does. 64 MiB are on their way at once in each direction, so that
    /// throughput is the business of those who talk. The time is written as `50ms` or `2s`.
    Latency(Duration),
    /// `corrupt-to-client:BYTE` and `corrupt-to-server:BYTE`: one bit of this byte is flipped, counted from 1 in that
    /// direction, and everything else passes.
    Corrupt {
        /// Which way the byte goes.
        direction: Direction,
        /// Which byte it is, 1 for the next one.
        byte: u64,
    },
    /// `truncate-kex`: a new connection is closed in the middle of the server's first packet, its key exchange proposal
    /// (RFC 4253 section 7.1).
    TruncateKex,
    /// `banner-only`: a new connection gets the server's identification line (RFC 4253 section 4.2), and nothing after it.
    BannerOnly,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the server to the client.
    ToClient,
    /// From the client to the server.
    ToServer,
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{given:?} is not the name of a fault; write one of {}", names.join(", "))]
pub struct FaultNameError {
    given: String,
    names: Vec<&'static str>,
}

impl FaultNameError {
    /// What was given is shortened and escaped.
    pub(crate) fn new(given: &str, names: Vec<&'static str>) -> Self {
        let start: String = given.chars().take(40).collect();
        Self {
            given: escape(&start),
            names,
        }
    }
}

impl Fault {
    /// How each fault is written, with its argument in capital letters.
    pub const NAMES: [&'static str; 12] = [
        "drop",
        "drop-after:BYTES",
        "reset",
        "refuse",
        "black-hole",
        "stall",
        "slow:BYTES",
        "latency:TIME",
        "corrupt-to-client:BYTE",
        "corrupt-to-server:BYTE",
        "truncate-kex",
        "banner-only",
    ];

    /// The name without the argument, for example `slow`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::DropAfter(_) => "drop-after",
            Self::Reset => "reset",
            Self::Refuse => "refuse",
            Self::BlackHole => "black-hole",
            Self::Stall => "stall",
            Self::Slow(_) => "slow",
            Self::Latency(_) => "latency",
            Self::Corrupt { direction, .. } => match direction {
                Direction::ToClient => "corrupt-to-client",
                Direction::ToServer => "corrupt-to-server",
            },
            Self::TruncateKex => "truncate-kex",
            Self::BannerOnly => "banner-only",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let (kind, argument) = match name.split_once(':') {
            Some((kind, argument)) => (kind, Some(argument)),
            None => (name, None),
        };
        let corrupt = |direction, text| number(text).map(|byte| Self::Corrupt { direction, byte });
        match (kind, argument) {
            ("drop", None) => Some(Self::Drop),
            ("drop-after", Some(bytes)) => number(bytes).map(Self::DropAfter),
            ("reset", None) => Some(Self::Reset),
            ("refuse", None) => Some(Self::Refuse),
            ("black-hole", None) => Some(Self::BlackHole),
            ("stall", None) => Some(Self::Stall),
            ("slow", Some(bytes)) => number(bytes).map(Self::Slow),
            ("latency", Some(time)) => milliseconds(time).map(Self::Latency),
            ("corrupt-to-client", Some(byte)) => corrupt(Direction::ToClient, byte),
            ("corrupt-to-server", Some(byte)) => corrupt(Direction::ToServer, byte),
            ("truncate-kex", None) => Some(Self::TruncateKex),
            ("banner-only", None) => Some(Self::BannerOnly),
            _ => None,
        }
    }
}

/// A number of at least 1, in digits.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

fn milliseconds(text: &str) -> Option<Duration> {
    if let Some(count) = text.strip_suffix("ms") {
        number(count).map(Duration::from_millis)
    } else {
        number(text.strip_suffix('s')?).map(Duration::from_secs)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.as_str();
        match self {
            Self::DropAfter(bytes) | Self::Slow(bytes) => write!(f, "{name}:{bytes}"),
            Self::Latency(time) => write!(f, "{name}:{}ms", time.as_millis()),
            Self::Corrupt { byte, .. } => write!(f, "{name}:{byte}"),
            Self::Drop
            | Self::Reset
            | Self::Refuse
            | Self::BlackHole
            | Self::Stall
            | Self::TruncateKex
            | Self::BannerOnly => f.write_str(name),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultNameError;

    fn from_str(name: &str) -> Result<Self, FaultNameError> {
        Self::parse(name).ok_or_else(|| FaultNameError::new(name, Self::NAMES.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_fault_has_one_name_which_is_printed_as_it_is_read() {
        let table = [
            ("drop", Fault::Drop),
            ("drop-after:65536", Fault::DropAfter(65536)),
            ("reset", Fault::Reset),
            ("refuse", Fault::Refuse),
            ("black-hole", Fault::BlackHole),
            ("stall", Fault::Stall),
            ("slow:1000", Fault::Slow(1000)),
            ("latency:50ms", Fault::Latency(Duration::from_millis(50))),
            (
                "corrupt-to-client:3000",
                Fault::Corrupt {
                    direction: Direction::ToClient,
                    byte: 3000,
                },
            ),
            (
                "corrupt-to-server:1",
                Fault::Corrupt {
                    direction: Direction::ToServer,
                    byte: 1,
                },
            ),
            ("truncate-kex", Fault::TruncateKex),
            ("banner-only", Fault::BannerOnly),
        ];
        for (name, fault) in table {
            assert_eq!(name.parse(), Ok(fault));
            assert_eq!(fault.to_string(), name);
            assert!(
                Fault::NAMES
                    .iter()
                    .any(|known| known.split(':').next() == Some(fault.as_str())),
                "{name} is missing in the list of names"
            );
        }
        assert_eq!(table.len(), Fault::NAMES.len());
        assert_eq!("latency:2s".parse(), Ok(Fault::Latency(Duration::from_secs(2))));
    }

    #[test]
    fn a_wrong_name_is_refused_with_a_list_of_the_right_ones() {
        for name in [
            "",
            "Drop",
            "drop:1",
            "drop-after",
            "drop-after:",
            "drop-after:0",
            "drop-after:-1",
            "drop-after:+1",
            "slow:fast",
            "latency:50",
            "latency:0ms",
            "latency:1h",
            "corrupt:5",
            "stall ",
            "\x1b[31m",
            "slow:99999999999999999999",
        ] {
            let message = name.parse::<Fault>().unwrap_err().to_string();
            assert!(
                Fault::NAMES.iter().all(|known| message.contains(known)) && !message.contains('\x1b'),
                "{message}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read_back_as_it_is_printed(text in "[a-z:0-9-]{0,24}") {
            if let Ok(fault) = text.parse::<Fault>() {
                prop_assert_eq!(fault.to_string().parse(), Ok(fault));
            }
        }
    }
}
