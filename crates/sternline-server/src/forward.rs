//! What clients may forward. Pure: the protocol asks, this decides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a server allows of port forwarding (RFC 4254 section 7): nothing, unless it is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forwarding {
    pub(crate) allowed: bool,
    /// Where clients may have connections opened to, when not everywhere.
    pub(crate) targets: Vec<(String, u16)>,
    /// Whether clients may have this machine listen on other addresses than loopback.
    pub(crate) gateway_ports: bool,
}

impl Forwarding {
    /// Whether a client may have a connection opened to this host and port.
    pub(crate) fn may_open(&self, host: &str, port: u32) -> bool {
        let listed =
            |(name, number): &(String, u16)| name.eq_ignore_ascii_case(host) && u32::from(*number) == port;
        self.allowed && (self.targets.is_empty() || self.targets.iter().any(listed))
    }

    /// Whether a client may have a connection opened to a unix socket: where a list of hosts and ports restricts it to
    /// those, it may not.
    pub(crate) fn may_open_socket(&self) -> bool {
        self.allowed && self.targets.is_empty()
    }

    /// Where to listen when a client asks for `address` (RFC 4254 section 7.1); empty when it may not. As with sshd, a
    /// client that asks for all addresses gets loopback, unless `GatewayPorts` in sshd_config(5) says otherwise.
    pub(crate) fn listen_on(&self, address: &str) -> Vec<IpAddr> {
        const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        // In this order: on most systems the first covers both families, and the second is for those without IPv6.
        const ANY: [IpAddr; 2] = [
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        ];
        if !self.allowed {
            return Vec::new();
        }
        let asked = match address {
            "localhost" => return LOOPBACK.to_vec(),
            "" | "*" if self.gateway_ports => return ANY.to_vec(),
            "" | "*" => return LOOPBACK.to_vec(),
            address => address.parse::<IpAddr>(),
        };
        match asked {
            Ok(ip) if ip.is_loopback() || self.gateway_ports => vec![ip],
            Ok(ip) if ip.is_unspecified() => LOOPBACK
                .iter()
                .filter(|own| own.is_ipv4() == ip.is_ipv4())
                .copied()
                .collect(),
            Ok(_) | Err(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Forwarding {
        Forwarding {
            allowed: true,
            ..Forwarding::default()
        }
    }

    #[test]
    fn nothing_is_allowed_unless_it_is_told() {
        let closed = Forwarding::default();
        assert!(!closed.may_open("localhost", 80));
        assert!(!closed.may_open_socket());
        assert!(closed.listen_on("localhost").is_empty());
    }

    #[test]
    fn a_list_of_targets_excludes_all_others() {
        let open = allowed();
        assert!(open.may_open("anywhere", 80) && open.may_open_socket());
        let listed = Forwarding {
            targets: vec![("db.internal".into(), 5432)],
            ..open
        };
        assert!(listed.may_open("DB.internal", 5432));
        for (host, port) in [
            ("db.internal", 5433),
            ("db.internal", 5432 + 65536),
            ("127.0.0.1", 5432),
        ] {
            assert!(!listed.may_open(host, port), "{host}:{port}");
        }
        assert!(!listed.may_open_socket());
    }

    #[test]
    fn where_it_listens_for_each_address_that_a_client_asks_for() {
        let gateway = Forwarding {
            gateway_ports: true,
            ..allowed()
        };
        let table: [(&str, &[&str], &[&str]); 9] = [
            ("localhost", &["127.0.0.1", "::1"], &["127.0.0.1", "::1"]),
            ("", &["127.0.0.1", "::1"], &["::", "0.0.0.0"]),
            ("*", &["127.0.0.1", "::1"], &["::", "0.0.0.0"]),
            ("0.0.0.0", &["127.0.0.1"], &["0.0.0.0"]),
            ("::", &["::1"], &["::"]),
            ("127.0.0.9", &["127.0.0.9"], &["127.0.0.9"]),
            ("::1", &["::1"], &["::1"]),
            ("192.0.2.1", &[], &["192.0.2.1"]),
            ("a.name", &[], &[]),
        ];
        for (asked, loopback, all) in table {
            let on = |forwarding: &Forwarding| -> Vec<String> {
                forwarding
                    .listen_on(asked)
                    .iter()
                    .map(IpAddr::to_string)
                    .collect()
            };
            assert_eq!(on(&allowed()), loopback, "{asked:?}");
            assert_eq!(on(&gateway), all, "{asked:?} with gateway ports");
        }
    }
}
