//! What every verb that connects shares: its options, and how they become settings of a connection.

mod connected;
mod duration;
mod evidence;
mod host;
mod hosts;
mod inventory;
mod options;
mod origins;
mod password;
mod settings;

pub(crate) use connected::tell;
pub(crate) use duration::{parse_any_duration, parse_duration};
pub(crate) use evidence::Evidence;
pub(crate) use host::HostSettings;
pub(crate) use hosts::{labels, parse_host, parse_hosts};
pub(crate) use inventory::HostOptions;
pub(crate) use options::ConnectOptions;
pub(crate) use origins::value as shown_value;
pub(crate) use password::ask_password;
pub(crate) use settings::Connector;
