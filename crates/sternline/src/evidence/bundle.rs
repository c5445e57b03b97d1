//! The bundle: one session's evidence.

use serde_json::{Map, Value};
use sternline_proto::evidence::RecordedCommand;

use super::facts::{AlgorithmInfo, HostInfo, TimingInfo};
use super::transcript::Transcript;
use crate::error::DisconnectReason;
use crate::event::Event;

/// What is taken out of a bundle when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Redaction {
    /// Secrets, and the host's name and address wherever they stand. What the seed calls `redact=True`.
    #[default]
    SecretsAndHost,
    /// Secrets only.
    Secrets,
    /// Nothing.
    DangerNothing,
}

/// Everything that is known of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceBundle {
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// The automated dialogue, if there was one.
    pub transcript: Option<Transcript>,
    /// The negotiated algorithms and the server's identity.
    pub algorithms: AlgorithmInfo,
    /// Why the connection ended, or was never made.
    pub disconnect_reason: DisconnectReason,
    /// When what happened, and how long each phase took.
    pub timing: TimingInfo,
    /// Which host it was.
    pub host_info: Option<HostInfo>,
    /// The last failure, as `Error::to_dict` has it, with its `hint`; empty where nothing failed.
    pub error_context: Map<String, Value>,
    /// The settings in force that decide about the outcome, by name, each with where it comes from if that is known.
    pub configuration: Map<String, Value>,
    /// The commands with their output, where they were recorded.
    pub commands: Vec<RecordedCommand>,
    /// The version of the format: [`EvidenceBundle::VERSION`] for bundles made here.
    pub version: String,
    /// When the bundle was made, in milliseconds since the Unix epoch.
    pub created_ms: f64,
}

impl EvidenceBundle {
    /// The version of the format that is written.
    pub const VERSION: &'static str = "1.0";
}
