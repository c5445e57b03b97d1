//! How much one request may carry.

use sternline_proto::sftp::Limits;

/// What every server has to take (draft-ietf-secsh-filexfer-02 section 3; OpenSSH's `PROTOCOL`, section 4.8).
const SAFE: usize = 32 * 1024;

/// What OpenSSH's server takes, and what fits into the packets that are accepted here.
const MOST: usize = 255 * 1024;

/// What a packet with data has beside them, generously.
const OVERHEAD: u64 = 1024;

/// The most that one READ asks for, and that one WRITE holds. In bytes, and never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transfer) struct Sizes {
    pub(in crate::transfer) read: usize,
    pub(in crate::transfer) write: usize,
}

/// What the server's limits leave; 0 stands for no limit there.
pub(super) fn sizes(limits: Option<Limits>) -> Sizes {
    let Some(limits) = limits else {
        return Sizes {
            read: SAFE,
            write: SAFE,
        };
    };
    let unlimited = |limit| if limit == 0 { u64::MAX } else { limit };
    let packet = unlimited(limits.packet).saturating_sub(OVERHEAD);
    let size = |limit| {
        let size = unlimited(limit).min(packet).max(1);
        usize::try_from(size).unwrap_or(MOST).min(MOST)
    };
    Sizes {
        read: size(limits.read),
        write: size(limits.write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_what_the_server_allows_and_no_more_than_255_kib() {
        let limits = |packet, read, write| {
            Some(Limits {
                packet,
                read,
                write,
                handles: 0,
            })
        };
        for (limits, read, write) in [
            (None, 32768, 32768),
            // OpenSSH and asyncssh.
            (limits(262_144, 261_120, 261_120), 261_120, 261_120),
            (limits(4_195_328, 4_194_304, 4_194_304), 261_120, 261_120),
            (limits(0, 0, 0), 261_120, 261_120),
            (limits(34_000, 0, 32_768), 32_976, 32_768),
            (limits(262_144, 65_536, 16_384), 65_536, 16_384),
            (limits(1, 1, 1), 1, 1),
            (limits(u64::MAX, u64::MAX, u64::MAX), 261_120, 261_120),
        ] {
            assert_eq!(sizes(limits), Sizes { read, write }, "{limits:?}");
        }
    }
}
