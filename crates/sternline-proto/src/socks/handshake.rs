//! Reading a request, however its bytes are split.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::{Refusal, SocksError};
use super::request::{ReplyCode, Request, VERSION_5, Version};
use crate::target::check_host;

/// The longest user name and the longest host name in a request. SOCKS 5 cannot say more; SOCKS 4 could.
pub const MAX_NAME: usize = 255;

/// No more bytes than this are ever kept: the longest SOCKS 4a request, two names and their zero bytes.
pub const MAX_BUFFERED: usize = 8 + 2 * (MAX_NAME + 1);

const VERSION_4: u8 = 4;
const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;

/// A client's request as far as it has arrived.
///
/// Feed it what was read, in whatever pieces, until it ends with a [`Request`] or a [`Refusal`].
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// The current message, so far.
    pub(super) buffer: Vec<u8>,
    /// Whether a SOCKS 5 client has named its methods, so that its request comes next.
    greeted: bool,
}

/// What became of the bytes that were fed.
#[derive(Debug, Clone)]
pub enum Step {
    /// All bytes were taken and the request is not complete. Send the reply, which may be empty, and read on.
    More {
        /// The handshake to feed next.
        handshake: Handshake,
        /// What to send now.
        reply: Vec<u8>,
    },
    /// The request is complete. Send the reply, which may be empty, then connect and answer with
    /// [`Request::reply`].
    Request {
        /// What the client wants.
        request: Request,
        /// What to send now.
        reply: Vec<u8>,
        /// How many of the bytes that were fed last belong to the handshake. The others are the client's stream.
        consumed: usize,
    },
}

/// How far a message has come.
enum Message {
    /// It is at least this long, which is more than there is.
    Longer(usize),
    /// The client's methods, and ours is among them.
    Methods,
    /// The request.
    Request(Request),
}

impl Handshake {
    /// A handshake of which nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, and none beyond the end of the request. How the bytes were split makes no difference.
    ///
    /// # Errors
    /// [`Refusal`] when this is not SOCKS, or asks for what is not served. Its reply takes the place of a
    /// [`Step`]'s: send it and close.
    pub fn feed(mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        let mut rest = bytes;
        let mut reply = Vec::new();
        loop {
            let message = self.message().map_err(|refusal| Refusal {
                reply: [reply.as_slice(), &refusal.reply].concat(),
                ..refusal
            })?;
            match message {
                Message::Longer(length) => {
                    let missing = length.saturating_sub(self.buffer.len()).min(rest.len());
                    let (taken, left) = rest.split_at(missing);
                    self.buffer.extend_from_slice(taken);
                    rest = left;
                    if self.buffer.len() < length {
                        return Ok(Step::More {
                            handshake: self,
                            reply,
                        });
                    }
                }
                Message::Methods => {
                    self.buffer.clear();
                    self.greeted = true;
                    reply.extend([VERSION_5, NO_AUTHENTICATION]);
                }
                Message::Request(request) => {
                    let consumed = bytes.len() - rest.len();
                    return Ok(Step::Request {
                        request,
                        reply,
                        consumed,
                    });
                }
            }
        }
    }

    fn message(&self) -> Result<Message, Refusal> {
        match (self.greeted, self.buffer.as_slice()) {
            (_, []) => Ok(Message::Longer(1)),
            (true, request) => request_5(request),
            (false, [VERSION_5, methods @ ..]) => methods_5(methods),
            (false, [VERSION_4, request @ ..]) => request_4(request),
            (false, [first, ..]) => Err(Refusal {
                error: SocksError::NotSocks { first: *first },
                reply: Vec::new(),
            }),
        }
    }
}

/// Reads what follows the version in a SOCKS 5 greeting: a count, and that many methods (RFC 1928 section 3).
fn methods_5(bytes: &[u8]) -> Result<Message, Refusal> {
    let Some((&count, methods)) = bytes.split_first() else {
        return Ok(Message::Longer(2));
    };
    let count = usize::from(count);
    if methods.len() < count {
        Ok(Message::Longer(2 + count))
    } else if methods.contains(&NO_AUTHENTICATION) {
        Ok(Message::Methods)
    } else {
        Err(Refusal {
            error: SocksError::NoAcceptableMethod,
            reply: vec![VERSION_5, NO_ACCEPTABLE_METHOD],
        })
    }
}

/// Reads a SOCKS 5 request: version, command, a reserved byte, address type, address, port (RFC 1928 section 4).
fn request_5(bytes: &[u8]) -> Result<Message, Refusal> {
    // The fifth byte is the first of any address, and says how long a name is.
    let Some((&[version, command, _reserved, address_type, first], _)) = bytes.split_first_chunk() else {
        return Ok(Message::Longer(5));
    };
    let refuse = |error, code| Err(Version::V5.refuse(error, code));
    if version != VERSION_5 {
        return refuse(SocksError::Version { version }, ReplyCode::GeneralFailure);
    }
    let (start, length) = match address_type {
        1 => (4, 4),
        3 => (5, usize::from(first)),
        4 => (4, 16),
        _ => {
            return refuse(
                SocksError::AddressType { address_type },
                ReplyCode::AddressTypeNotSupported,
            );
        }
    };
    let end = start + length;
    let (Some(address), Some(port)) = (
        bytes.get(start..end),
        bytes.get(end..).and_then(<[u8]>::first_chunk),
    ) else {
        return Ok(Message::Longer(end + 2));
    };
    // The command is judged when all of the request has been read: closing with unread bytes would reset the
    // connection, and the client might never see the reply.
    if command != CONNECT {
        return refuse(SocksError::Command { command }, ReplyCode::CommandNotSupported);
    }
    let host = if let Ok(v4) = <[u8; 4]>::try_from(address)
        && address_type == 1
    {
        Ok(Ipv4Addr::from(v4).to_string())
    } else if let Ok(v6) = <[u8; 16]>::try_from(address)
        && address_type == 4
    {
        Ok(Ipv6Addr::from(v6).to_string())
    } else {
        name(address)
    };
    request(Version::V5, host, *port)
}

/// Reads what follows the version in a SOCKS 4 request: command, port, IPv4 address, user name, and with SOCKS 4a,
/// which an address of 0.0.0.x announces, the host's name. The names end with a zero byte.
fn request_4(bytes: &[u8]) -> Result<Message, Refusal> {
    let Some((&[command, port_high, port_low, a, b, c, d], names)) = bytes.split_first_chunk() else {
        return Ok(Message::Longer(8 + 1));
    };
    let longer = Message::Longer(1 + bytes.len() + 1);
    let refuse = |error| Err(Version::V4.refuse(error, ReplyCode::GeneralFailure));
    let too_long = |name: &[u8]| name.len() > MAX_NAME;

    let mut parts = names.split(|byte| *byte == 0);
    let user = parts.next().unwrap_or_default();
    if too_long(user) {
        return refuse(SocksError::NameTooLong);
    }
    let Some(host_name) = parts.next() else {
        return Ok(longer);
    };
    let host = if [a, b, c] == [0, 0, 0] && d != 0 {
        if too_long(host_name) {
            return refuse(SocksError::NameTooLong);
        }
        if parts.next().is_none() {
            return Ok(longer);
        }
        name(host_name)
    } else {
        Ok(Ipv4Addr::new(a, b, c, d).to_string())
    };
    if command != CONNECT {
        return refuse(SocksError::Command { command });
    }
    request(Version::V4, host, [port_high, port_low])
}

fn name(bytes: &[u8]) -> Result<String, SocksError> {
    let name = str::from_utf8(bytes).map_err(|_| SocksError::HostEncoding)?;
    check_host(name).map_err(SocksError::Host)?;
    Ok(name.to_owned())
}

fn request(version: Version, host: Result<String, SocksError>, port: [u8; 2]) -> Result<Message, Refusal> {
    let port = u16::from_be_bytes(port);
    let host = host.and_then(|host| {
        if port == 0 {
            Err(SocksError::Port)
        } else {
            Ok(host)
        }
    });
    match host {
        Ok(host) => Ok(Message::Request(Request { version, host, port })),
        Err(error) => Err(version.refuse(error, ReplyCode::GeneralFailure)),
    }
}
