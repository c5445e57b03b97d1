//! The facts of a connection, as a bundle holds them.

use serde_json::{Map, Value, json};

/// The negotiated algorithms, by the names of RFC 4253, and who the server is. What is not known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlgorithmInfo {
    /// Key exchange.
    pub kex: Option<String>,
    /// Cipher, client to server.
    pub cipher_cs: Option<String>,
    /// Cipher, server to client.
    pub cipher_sc: Option<String>,
    /// Message authentication, client to server; the cipher's own name where it is an AEAD.
    pub mac_cs: Option<String>,
    /// Message authentication, server to client.
    pub mac_sc: Option<String>,
    /// Compression, client to server.
    pub compression_cs: Option<String>,
    /// Compression, server to client.
    pub compression_sc: Option<String>,
    /// The algorithm of the host key.
    pub host_key: Option<String>,
    /// The host key's fingerprint, as OpenSSH writes it: `SHA256:...`.
    pub host_key_fingerprint: Option<String>,
    /// The server's identification line (RFC 4253 section 4.2), escaped.
    pub server_version: Option<String>,
}

impl AlgorithmInfo {
    /// The fields that are known, by name.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        for (name, value) in self.fields() {
            if let Some(value) = value {
                dict.insert(name.to_owned(), value.clone().into());
            }
        }
        dict
    }

    /// Reads what [`AlgorithmInfo::to_dict`] gave; what is no text counts as unknown.
    #[must_use]
    pub fn from_dict(dict: &Map<String, Value>) -> Self {
        let text = |name: &str| dict.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            kex: text("kex"),
            cipher_cs: text("cipher_cs"),
            cipher_sc: text("cipher_sc"),
            mac_cs: text("mac_cs"),
            mac_sc: text("mac_sc"),
            compression_cs: text("compression_cs"),
            compression_sc: text("compression_sc"),
            host_key: text("host_key"),
            host_key_fingerprint: text("host_key_fingerprint"),
            server_version: text("server_version"),
        }
    }

    /// With the cipher of both directions. One that authenticates by itself needs no MAC, which the protocol calls implicit.
    pub(crate) fn with_cipher(mut self, cipher: Option<String>) -> Self {
        for mac in [&mut self.mac_cs, &mut self.mac_sc] {
            if mac.as_deref() == Some("implicit") {
                mac.clone_from(&cipher);
            }
        }
        self.cipher_cs.clone_from(&cipher);
        self.cipher_sc = cipher;
        self
    }

    /// Every field with its name in JSON, in the order in which they are written.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &Option<String>); 10] {
        [
            ("kex", &self.kex),
            ("cipher_cs", &self.cipher_cs),
            ("cipher_sc", &self.cipher_sc),
            ("mac_cs", &self.mac_cs),
            ("mac_sc", &self.mac_sc),
            ("compression_cs", &self.compression_cs),
            ("compression_sc", &self.compression_sc),
            ("host_key", &self.host_key),
            ("host_key_fingerprint", &self.host_key_fingerprint),
            ("server_version", &self.server_version),
        ]
    }
}

/// How long one phase of connecting took.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseTiming {
    /// The phase's name, as [`Phase`](crate::Phase) writes it.
    pub phase: String,
    /// In milliseconds.
    pub duration_ms: f64,
}

/// When what happened, in milliseconds since the Unix epoch. What has not happened is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimingInfo {
    /// Connecting began.
    pub connect_start_ms: Option<f64>,
    /// The login had succeeded, or connecting had failed.
    pub connect_end_ms: Option<f64>,
    /// The first authentication attempt began.
    pub auth_start_ms: Option<f64>,
    /// The last authentication attempt ended.
    pub auth_end_ms: Option<f64>,
    /// The connection ended.
    pub disconnect_ms: Option<f64>,
    /// The bundle was made.
    pub bundle_created_ms: f64,
    /// How long each phase of connecting took, in order; with a monotonic clock.
    pub phases: Vec<PhaseTiming>,
}

impl TimingInfo {
    /// How long connecting took, login included. `None` where it has not ended, or the clock was set back meanwhile.
    #[must_use]
    pub fn connect_duration_ms(&self) -> Option<f64> {
        between(self.connect_start_ms, self.connect_end_ms)
    }

    /// How long the login took.
    #[must_use]
    pub fn auth_duration_ms(&self) -> Option<f64> {
        between(self.auth_start_ms, self.auth_end_ms)
    }

    /// From the beginning to the end of the connection.
    #[must_use]
    pub fn total_duration_ms(&self) -> Option<f64> {
        between(self.connect_start_ms, self.disconnect_ms)
    }

    /// The moments that are known, the durations between them, and the phases, by name.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        for (name, value) in [
            ("connect_start_ms", self.connect_start_ms),
            ("connect_end_ms", self.connect_end_ms),
            ("auth_start_ms", self.auth_start_ms),
            ("auth_end_ms", self.auth_end_ms),
            ("disconnect_ms", self.disconnect_ms),
            ("bundle_created_ms", Some(self.bundle_created_ms)),
            ("connect_duration_ms", self.connect_duration_ms()),
            ("auth_duration_ms", self.auth_duration_ms()),
            ("total_duration_ms", self.total_duration_ms()),
        ] {
            if let Some(value) = value {
                dict.insert(name.to_owned(), value.into());
            }
        }
        let phases = self
            .phases
            .iter()
            .map(|timing| json!({ "phase": timing.phase, "duration_ms": timing.duration_ms }));
        dict.insert("phases".to_owned(), phases.collect());
        dict
    }

    /// Reads what [`TimingInfo::to_dict`] gave. The durations follow from the moments.
    #[must_use]
    pub fn from_dict(dict: &Map<String, Value>) -> Self {
        let moment = |name: &str| dict.get(name).and_then(Value::as_f64);
        let phases = dict.get("phases").and_then(Value::as_array);
        Self {
            connect_start_ms: moment("connect_start_ms"),
            connect_end_ms: moment("connect_end_ms"),
            auth_start_ms: moment("auth_start_ms"),
            auth_end_ms: moment("auth_end_ms"),
            disconnect_ms: moment("disconnect_ms"),
            bundle_created_ms: moment("bundle_created_ms").unwrap_or_default(),
            phases: phases
                .into_iter()
                .flatten()
                .filter_map(|timing| {
                    Some(PhaseTiming {
                        phase: timing.get("phase")?.as_str()?.to_owned(),
                        duration_ms: timing.get("duration_ms")?.as_f64()?,
                    })
                })
                .collect(),
        }
    }
}

fn between(start: Option<f64>, end: Option<f64>) -> Option<f64> {
    Some(end? - start?).filter(|duration| *duration >= 0.0)
}

/// Which host it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostInfo {
    /// The host, as it was named.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who was logging in.
    pub username: Option<String>,
    /// Whether `host` was masked when this was written.
    pub redacted: bool,
}

impl HostInfo {
    /// The fields by name; with `redact` the host is masked by [`HostInfo::masked`]. Port and user name stay.
    #[must_use]
    pub fn to_dict(&self, redact: bool) -> Map<String, Value> {
        let mut dict = Map::new();
        let host = if redact { self.masked() } else { self.host.clone() };
        dict.insert("host".to_owned(), host.into());
        dict.insert("port".to_owned(), self.port.into());
        if let Some(username) = &self.username {
            dict.insert("username".to_owned(), username.clone().into());
        }
        dict.insert("redacted".to_owned(), (redact || self.redacted).into());
        dict
    }

    /// Reads what [`HostInfo::to_dict`] gave; `None` where host or port are missing.
    #[must_use]
    pub fn from_dict(dict: &Map<String, Value>) -> Option<Self> {
        Some(Self {
            host: dict.get("host")?.as_str()?.to_owned(),
            port: u16::try_from(dict.get("port")?.as_u64()?).ok()?,
            username: dict.get("username").and_then(Value::as_str).map(str::to_owned),
            redacted: dict.get("redacted").and_then(Value::as_bool).unwrap_or_default(),
        })
    }

    /// The host with only its first part left: `10.xxx.xxx.xxx`, `db.[REDACTED]`, `[REDACTED IPv6]`. A name without
    /// dots stays.
    #[must_use]
    pub fn masked(&self) -> String {
        if self.redacted {
            return self.host.clone();
        }
        masked_host(&self.host)
    }
}

/// See [`HostInfo::masked`]. What was masked before stays.
pub(super) fn masked_host(host: &str) -> String {
    let octets: Vec<&str> = host.split('.').collect();
    match octets.as_slice() {
        _ if host.contains("[REDACTED") => host.to_owned(),
        _ if host.contains(':') => "[REDACTED IPv6]".to_owned(),
        [_, "xxx", "xxx", "xxx"] => host.to_owned(),
        [first, _, _, _] if octets.iter().all(|octet| octet.parse::<u8>().is_ok()) => {
            format!("{first}.xxx.xxx.xxx")
        }
        [first, _, ..] => format!("{first}.[REDACTED]"),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_both_ends_in_order() {
        let timing = TimingInfo {
            connect_start_ms: Some(10.0),
            connect_end_ms: Some(12.5),
            auth_start_ms: Some(13.0),
            auth_end_ms: Some(11.0),
            ..TimingInfo::default()
        };
        assert_eq!(timing.connect_duration_ms(), Some(2.5));
        assert_eq!(timing.auth_duration_ms(), None);
        assert_eq!(timing.total_duration_ms(), None);
        assert_eq!(TimingInfo::from_dict(&timing.to_dict()), timing);
    }

    #[test]
    fn a_host_is_masked_by_what_it_looks_like() {
        for (host, masked) in [
            ("10.1.2.3", "10.xxx.xxx.xxx"),
            ("::1", "[REDACTED IPv6]"),
            ("db.example.com", "db.[REDACTED]"),
            ("1.2.3.4.example", "1.[REDACTED]"),
            ("web", "web"),
        ] {
            let info = HostInfo {
                host: host.to_owned(),
                port: 22,
                username: None,
                redacted: false,
            };
            assert_eq!(info.masked(), masked);
            let read = HostInfo::from_dict(&info.to_dict(true)).unwrap();
            assert!(read.redacted);
            assert_eq!(read.masked(), masked, "masking twice changes nothing");
        }
    }

    #[test]
    fn what_is_not_known_is_none_and_left_out() {
        let algorithms = AlgorithmInfo::default();
        assert!(algorithms.fields().iter().all(|(_, value)| value.is_none()));
        assert!(algorithms.to_dict().is_empty());
        let timing = TimingInfo::default();
        let moments = [
            timing.connect_start_ms,
            timing.connect_end_ms,
            timing.auth_start_ms,
            timing.auth_end_ms,
            timing.disconnect_ms,
        ];
        assert_eq!(moments, [None; 5]);
        let expected = json!({ "bundle_created_ms": 0.0, "phases": [] });
        assert_eq!(Value::Object(timing.to_dict()), expected);
        let host = json!({ "host": "web", "port": 22 });
        let host = host.as_object().and_then(HostInfo::from_dict).unwrap();
        assert_eq!((host.username.as_deref(), host.redacted), (None, false));
        let expected = json!({ "host": "web", "port": 22, "redacted": false });
        assert_eq!(Value::Object(host.to_dict(false)), expected);
    }

    #[test]
    fn algorithms_come_back_as_they_were() {
        let info = AlgorithmInfo {
            kex: Some("curve25519-sha256".into()),
            server_version: Some("SSH-2.0-x".into()),
            ..AlgorithmInfo::default()
        };
        assert_eq!(info.to_dict().len(), 2);
        assert_eq!(AlgorithmInfo::from_dict(&info.to_dict()), info);
    }
}
