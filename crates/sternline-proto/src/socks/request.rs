//! What a client asks for, and the answers.

use super::error::{Refusal, SocksError};

/// The version byte of SOCKS 5.
pub(super) const VERSION_5: u8 = 5;

/// Where a client wants to be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) version: Version,
    pub(super) host: String,
    pub(super) port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V5,
}

/// The answer to a request, as SOCKS 5 codes it (RFC 1928 section 6). SOCKS 4 has two answers: granted, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReplyCode {
    /// The connection stands; the stream begins behind the reply.
    Succeeded = 0,
    /// It failed for a reason that has no code of its own.
    GeneralFailure = 1,
    /// The SSH server's rules forbid it.
    NotAllowed = 2,
    /// No route to the network.
    NetworkUnreachable = 3,
    /// No route to the host, or no such host.
    HostUnreachable = 4,
    /// The host refused.
    ConnectionRefused = 5,
    /// The host did not answer in time.
    TtlExpired = 6,
    /// Not CONNECT.
    CommandNotSupported = 7,
    /// Not an IPv4 address, an IPv6 address or a domain name.
    AddressTypeNotSupported = 8,
}

impl Request {
    /// The host, as RFC 4254 section 7.2 sends it: a name, or an address as text (IPv6 without brackets).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port. Never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The bytes of the answer, in the version of the request. The bound address is given as all zeros, which is what
    /// a client of a proxy that binds nothing can do without. After any code but [`ReplyCode::Succeeded`] the
    /// connection has to be closed.
    #[must_use]
    pub fn reply(&self, code: ReplyCode) -> Vec<u8> {
        self.version.reply(code)
    }
}

impl Version {
    pub(super) fn reply(self, code: ReplyCode) -> Vec<u8> {
        match self {
            Self::V4 => {
                let code = if code == ReplyCode::Succeeded { 0x5a } else { 0x5b };
                vec![0, code, 0, 0, 0, 0, 0, 0]
            }
            Self::V5 => vec![VERSION_5, code as u8, 0, 1, 0, 0, 0, 0, 0, 0],
        }
    }

    pub(super) fn refuse(self, error: SocksError, code: ReplyCode) -> Refusal {
        Refusal {
            error,
            reply: self.reply(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_code_in_socks_5_and_granted_or_not_in_socks_4() {
        use ReplyCode::*;
        for (code, byte) in [
            (Succeeded, 0),
            (GeneralFailure, 1),
            (NotAllowed, 2),
            (NetworkUnreachable, 3),
            (HostUnreachable, 4),
            (ConnectionRefused, 5),
            (TtlExpired, 6),
            (CommandNotSupported, 7),
            (AddressTypeNotSupported, 8),
        ] {
            let request = |version| Request {
                version,
                host: "web".to_owned(),
                port: 80,
            };
            assert_eq!(
                request(Version::V5).reply(code),
                [5, byte, 0, 1, 0, 0, 0, 0, 0, 0]
            );
            let byte_4 = if byte == 0 { 0x5a } else { 0x5b };
            assert_eq!(request(Version::V4).reply(code), [0, byte_4, 0, 0, 0, 0, 0, 0]);
        }
    }
}
