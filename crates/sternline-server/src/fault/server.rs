//! Faults that only the server itself can have, beside those of its link.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fault::files::FileFault;
use crate::fault::name::{Fault, FaultNameError, number};

/// A way in which the embedded server fails: a [`Fault`] of the link to it, a [`FileFault`] of its files, or a refusal.
///
/// Its name is what [`fmt::Display`] prints and [`FromStr`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerFault {
    /// The link fails, under the fault's own name.
    Link(Fault),
    /// The files fail, under the fault's own name.
    Files(FileFault),
    /// `refuse-auth:TIMES`: so many logins that would be right are refused first. A public key that is offered and not
    /// signed with yet counts as one (RFC 4252 section 7).
    RefuseAuth(u64),
    /// `refuse-channels:REASON` and `refuse-channels:REASON:TIMES`: every channel is refused, or only so many.
    RefuseChannels {
        /// What the client is told.
        reason: ChannelRefusal,
        /// How many channels, or all.
        times: Option<u64>,
    },
}

/// Why a channel is not opened (RFC 4254 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelRefusal {
    /// `administratively-prohibited`, code 1.
    AdministrativelyProhibited,
    /// `connect-failed`, code 2.
    ConnectFailed,
    /// `unknown-channel-type`, code 3.
    UnknownChannelType,
    /// `resource-shortage`, code 4.
    ResourceShortage,
}

impl ChannelRefusal {
    const ALL: [Self; 4] = [
        Self::AdministrativelyProhibited,
        Self::ConnectFailed,
        Self::UnknownChannelType,
        Self::ResourceShortage,
    ];

    /// The reason's name, for example `connect-failed`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AdministrativelyProhibited => "administratively-prohibited",
            Self::ConnectFailed => "connect-failed",
            Self::UnknownChannelType => "unknown-channel-type",
            Self::ResourceShortage => "resource-shortage",
        }
    }
}

impl ServerFault {
    /// How each fault is written that a link does not have, with its arguments in capital letters.
    const OWN_NAMES: [&'static str; 3] = [
        "refuse-auth:TIMES",
        "refuse-channels:REASON",
        concat!(
            "refuse-channels:REASON:TIMES (REASON is administratively-prohibited, connect-failed, ",
            "unknown-channel-type or resource-shortage)"
        ),
    ];

    fn parse_own(name: &str) -> Option<Self> {
        if let Some(fault) = FileFault::parse(name) {
            return Some(Self::Files(fault));
        }
        let (kind, argument) = name.split_once(':')?;
        match kind {
            "refuse-auth" => number(argument).map(Self::RefuseAuth),
            "refuse-channels" => {
                let (reason, times) = match argument.split_once(':') {
                    Some((reason, times)) => (reason, Some(number(times)?)),
                    None => (argument, None),
                };
                let reason = *ChannelRefusal::ALL
                    .iter()
                    .find(|known| known.as_str() == reason)?;
                Some(Self::RefuseChannels { reason, times })
            }
            _ => None,
        }
    }
}

impl From<Fault> for ServerFault {
    fn from(fault: Fault) -> Self {
        Self::Link(fault)
    }
}

impl From<FileFault> for ServerFault {
    fn from(fault: FileFault) -> Self {
        Self::Files(fault)
    }
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(fault) => fault.fmt(f),
            Self::Files(fault) => fault.fmt(f),
            Self::RefuseAuth(times) => write!(f, "refuse-auth:{times}"),
            Self::RefuseChannels { reason, times } => {
                write!(f, "refuse-channels:{}", reason.as_str())?;
                times.map_or(Ok(()), |times| write!(f, ":{times}"))
            }
        }
    }
}

impl FromStr for ServerFault {
    type Err = FaultNameError;

    fn from_str(name: &str) -> Result<Self, FaultNameError> {
        if let Some(own) = Self::parse_own(name) {
            return Ok(own);
        }
        name.parse().map(Self::Link).map_err(|_| {
            let own = Self::OWN_NAMES.into_iter().chain(FileFault::NAMES);
            let names = Fault::NAMES.into_iter().chain(own);
            FaultNameError::new(name, names.collect())
        })
    }
}

/// The refusals of one server that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    auth: u64,
    channels: Option<(ChannelRefusal, Option<u64>)>,
}

impl Refusals {
    pub(crate) fn refuse_auth(&self, times: u64) {
        self.lock().auth = times;
    }

    pub(crate) fn refuse_channels(&self, reason: ChannelRefusal, times: Option<u64>) {
        self.lock().channels = Some((reason, times));
    }

    pub(crate) fn heal(&self) {
        *self.lock() = Pending::default();
    }

    /// Whether this login is to be refused, which counts.
    pub(crate) fn takes_auth(&self) -> bool {
        let mut pending = self.lock();
        let taken = pending.auth > 0;
        pending.auth = pending.auth.saturating_sub(1);
        taken
    }

    /// Whether this channel is to be refused, which counts.
    pub(crate) fn takes_channel(&self) -> Option<ChannelRefusal> {
        let mut pending = self.lock();
        let (reason, times) = pending.channels?;
        pending.channels = match times {
            None => Some((reason, None)),
            Some(times) => times
                .checked_sub(1)
                .filter(|left| *left > 0)
                .map(|left| (reason, Some(left))),
        };
        Some(reason)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_server_is_printed_as_it_is_read_and_a_link_s_is_one_too() {
        let channels = |reason, times| ServerFault::RefuseChannels { reason, times };
        let table = [
            ("stall", ServerFault::Link(Fault::Stall)),
            ("drop-after:7", ServerFault::Link(Fault::DropAfter(7))),
            ("disk-full:9", ServerFault::Files(FileFault::DiskFull(9))),
            ("deny:/a:b", ServerFault::Files(FileFault::Deny("/a:b".into()))),
            (
                "list-name:../evil",
                ServerFault::Files(FileFault::ListName("../evil".into())),
            ),
            ("shrink:9", ServerFault::Files(FileFault::Shrink(9))),
            ("no-extensions", ServerFault::Files(FileFault::NoExtensions)),
            ("no-sftp", ServerFault::Files(FileFault::NoSftp)),
            ("close-after:9", ServerFault::Files(FileFault::CloseAfter(9))),
            ("stall-after:9", ServerFault::Files(FileFault::StallAfter(9))),
            ("refuse-auth:2", ServerFault::RefuseAuth(2)),
            (
                "refuse-channels:connect-failed",
                channels(ChannelRefusal::ConnectFailed, None),
            ),
            (
                "refuse-channels:administratively-prohibited:3",
                channels(ChannelRefusal::AdministrativelyProhibited, Some(3)),
            ),
            (
                "refuse-channels:unknown-channel-type",
                channels(ChannelRefusal::UnknownChannelType, None),
            ),
            (
                "refuse-channels:resource-shortage",
                channels(ChannelRefusal::ResourceShortage, None),
            ),
        ];
        for (name, fault) in table {
            assert_eq!(name.parse(), Ok(fault.clone()));
            assert_eq!(fault.to_string(), name);
        }
    }

    #[test]
    fn a_wrong_name_is_refused_with_a_list_of_the_right_ones() {
        for name in [
            "",
            "refuse-auth",
            "disk-full:0",
            "deny:",
            "no-sftp:1",
            "list-name",
            "refuse-auth:0",
            "refuse-channels",
            "refuse-channels:why",
            "refuse-channels:connect-failed:x",
        ] {
            let message = name.parse::<ServerFault>().unwrap_err().to_string();
            let own = ServerFault::OWN_NAMES.iter().chain(&FileFault::NAMES);
            let right = Fault::NAMES.iter().chain(own);
            assert!(
                right.into_iter().all(|known| message.contains(known)),
                "{message}"
            );
        }
        let reasons = ChannelRefusal::ALL.map(|reason| reason.as_str());
        assert!(
            reasons
                .iter()
                .all(|reason| ServerFault::OWN_NAMES[2].contains(reason))
        );
    }

    #[test]
    fn refusals_come_as_often_as_they_were_asked_for() {
        let refusals = Refusals::default();
        assert!(!refusals.takes_auth() && refusals.takes_channel().is_none());
        refusals.refuse_auth(2);
        assert_eq!(
            [(); 4].map(|()| refusals.takes_auth()),
            [true, true, false, false]
        );
        let reason = ChannelRefusal::ResourceShortage;
        refusals.refuse_channels(reason, Some(2));
        let taken = [(); 3].map(|()| refusals.takes_channel());
        assert_eq!(taken, [Some(reason), Some(reason), None]);
        refusals.refuse_channels(reason, None);
        assert_eq!([(); 3].map(|()| refusals.takes_channel()), [Some(reason); 3]);
        refusals.heal();
        assert_eq!(refusals.takes_channel(), None);
    }
}
