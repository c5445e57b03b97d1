//! One connection: how it is opened, how many sessions it carries, how its remote processes are ended.

mod another;
mod builder;
mod configured;
mod direct;
mod evidence;
mod fetch;
mod handle;
mod jump;
mod keepalive;
mod open;
mod proxy;
mod reach;
mod readiness;
mod remote_end;
mod running;
mod sessions;
mod settings;
mod spare;
mod startups;
mod state;
mod supervisor;
mod trust;
mod watchdog;

pub use builder::ConnectionBuilder;
pub use configured::{Configured, with_agent};
pub use fetch::OfferedHostKey;
pub use handle::Connection;
pub use jump::JumpHost;
pub use keepalive::KeepaliveConfig;
pub use proxy::ProxyCommand;
pub use readiness::ReadinessPolicy;
pub(crate) use remote_end::OtherUser;
pub use remote_end::RemoteEnd;
pub use state::ConnectionState;
pub use supervisor::{ConnectionEnd, ConnectionRecord, Supervisor, SupervisorBuilder, SupervisorStatus};
pub use watchdog::ProgressWatchdog;

pub use crate::transport::algorithms::AlgorithmChoice;
pub use crate::transport::channel::Pty;
pub use crate::transport::dial::{Resolve, SystemResolver};
pub use crate::transport::link::Algorithms;
pub use sternline_proto::backoff::RetryPolicy;
pub use sternline_proto::ssh_config::AlgorithmList;

pub(crate) use direct::DirectError;
pub(crate) use running::StartOrder;
pub(crate) use sessions::{Sessions, Start};
pub(crate) use supervisor::Attached;
pub(crate) use watchdog::Quiet;
