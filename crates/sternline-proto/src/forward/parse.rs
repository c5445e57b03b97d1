//! Reading ssh's syntax for forwards.

use super::error::{ForwardError, ForwardProblem};
use super::spec::{BindAddress, ConnectAddress, ForwardIntent, ListenAddress, Side};
use crate::target::check_host;

/// Reads the argument of `option`: `-L`, `-R` or `-D`.
pub(super) fn parse(option: &'static str, spec: &str) -> Result<ForwardIntent, ForwardError> {
    let wrap = |problem| ForwardError {
        option,
        spec: spec.to_owned(),
        problem,
    };
    let fields = split(spec).map_err(wrap)?;
    let form = || wrap(ForwardProblem::Form { forms: forms(option) });
    let (listen, connect) = addresses(&fields).ok_or_else(form)?;
    // -L always says where to connect to, -D never, and -R may.
    if option != "-R" && (option == "-D") != connect.is_none() {
        return Err(form());
    }
    let listen = listen.check().map_err(wrap)?;
    let connect = connect.map(Connect::check).transpose().map_err(wrap)?;
    let listener = if option == "-R" { Side::Remote } else { Side::Local };
    Ok(ForwardIntent {
        listener,
        listen,
        connect,
    })
}

fn forms(option: &str) -> &'static str {
    match option {
        "-L" => "[BIND_ADDRESS:]PORT:HOST:HOSTPORT, or /PATH for PORT or for HOST:HOSTPORT",
        "-R" => {
            "[BIND_ADDRESS:]PORT or [BIND_ADDRESS:]PORT:HOST:HOSTPORT, or /PATH for PORT or for HOST:HOSTPORT"
        }
        _ => "[BIND_ADDRESS:]PORT, or /PATH for PORT",
    }
}

/// What stands between two colons, its brackets and backslashes taken away.
struct Field {
    text: String,
    is_path: bool,
}

fn split(spec: &str) -> Result<Vec<Field>, ForwardProblem> {
    let mut fields = Vec::new();
    let mut rest = spec;
    loop {
        let (text, next) = if let Some(inner) = rest.strip_prefix('[') {
            let (text, next) = inner.split_once(']').ok_or(ForwardProblem::Brackets)?;
            if !next.is_empty() && !next.starts_with(':') {
                return Err(ForwardProblem::Brackets);
            }
            (text.to_owned(), next)
        } else {
            unescape(rest)?
        };
        let is_path = text.contains('/');
        fields.push(Field { text, is_path });
        match next.strip_prefix(':') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// The field up to the next colon, and what follows it.
fn unescape(text: &str) -> Result<(String, &str), ForwardProblem> {
    let mut field = String::new();
    let mut chars = text.chars();
    loop {
        let rest = chars.as_str();
        match chars.next() {
            None | Some(':') => return Ok((field, rest)),
            Some('\\') => field.push(chars.next().ok_or(ForwardProblem::Backslash)?),
            Some(other) => field.push(other),
        }
    }
}

enum Listen<'a> {
    Tcp(Option<&'a str>, &'a str),
    Unix(&'a str),
}

enum Connect<'a> {
    Tcp(&'a str, &'a str),
    Unix(&'a str),
}

/// Tells by the number of fields, and by which of them are paths, what each of them is.
fn addresses(fields: &[Field]) -> Option<(Listen<'_>, Option<Connect<'_>>)> {
    let kinds: Vec<(bool, &str)> = fields
        .iter()
        .map(|field| (field.is_path, field.text.as_str()))
        .collect();
    Some(match kinds.as_slice() {
        [(true, path)] => (Listen::Unix(path), None),
        [(false, port)] => (Listen::Tcp(None, port), None),
        [(true, path), (true, to)] => (Listen::Unix(path), Some(Connect::Unix(to))),
        [(false, port), (true, to)] => (Listen::Tcp(None, port), Some(Connect::Unix(to))),
        [(false, bind), (false, port)] => (Listen::Tcp(Some(bind), port), None),
        [(true, path), (false, host), (false, to)] => (Listen::Unix(path), Some(Connect::Tcp(host, to))),
        [(false, bind), (false, port), (true, to)] => {
            (Listen::Tcp(Some(bind), port), Some(Connect::Unix(to)))
        }
        [(false, port), (false, host), (false, to)] => {
            (Listen::Tcp(None, port), Some(Connect::Tcp(host, to)))
        }
        [(false, bind), (false, port), (false, host), (false, to)] => {
            (Listen::Tcp(Some(bind), port), Some(Connect::Tcp(host, to)))
        }
        _ => return None,
    })
}

impl Listen<'_> {
    fn check(self) -> Result<ListenAddress, ForwardProblem> {
        let (bind, port) = match self {
            Self::Unix(path) => {
                return Ok(ListenAddress::Unix {
                    path: check_path(path)?,
                });
            }
            Self::Tcp(bind, port) => (bind, port),
        };
        let bind = match bind {
            None | Some("localhost") => BindAddress::Loopback,
            Some("" | "*") => BindAddress::All,
            Some(address) => {
                check_host(address).map_err(ForwardProblem::Bind)?;
                BindAddress::Address(address.to_owned())
            }
        };
        let port = parse_port(port).ok_or_else(|| ForwardProblem::ListenPort {
            text: port.to_owned(),
        })?;
        Ok(ListenAddress::Tcp { bind, port })
    }
}

impl Connect<'_> {
    fn check(self) -> Result<ConnectAddress, ForwardProblem> {
        let (host, port) = match self {
            Self::Unix(path) => {
                return Ok(ConnectAddress::Unix {
                    path: check_path(path)?,
                });
            }
            Self::Tcp(host, port) => (host, port),
        };
        check_host(host).map_err(ForwardProblem::Host)?;
        let port = parse_port(port)
            .filter(|port| *port > 0)
            .ok_or_else(|| ForwardProblem::ConnectPort {
                text: port.to_owned(),
            })?;
        Ok(ConnectAddress::Tcp {
            host: host.to_owned(),
            port,
        })
    }
}

fn check_path(path: &str) -> Result<String, ForwardProblem> {
    if path.contains('\0') {
        Err(ForwardProblem::Path)
    } else {
        Ok(path.to_owned())
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn port(port: u16) -> ListenAddress {
        ListenAddress::Tcp {
            bind: BindAddress::Loopback,
            port,
        }
    }

    fn at(bind: &str, port: u16) -> ListenAddress {
        ListenAddress::Tcp {
            bind: BindAddress::Address(bind.to_owned()),
            port,
        }
    }

    fn all(port: u16) -> ListenAddress {
        ListenAddress::Tcp {
            bind: BindAddress::All,
            port,
        }
    }

    fn socket(path: &str) -> ListenAddress {
        ListenAddress::Unix {
            path: path.to_owned(),
        }
    }

    fn to(host: &str, port: u16) -> Option<ConnectAddress> {
        Some(ConnectAddress::Tcp {
            host: host.to_owned(),
            port,
        })
    }

    fn to_socket(path: &str) -> Option<ConnectAddress> {
        Some(ConnectAddress::Unix {
            path: path.to_owned(),
        })
    }

    #[test]
    fn every_form_of_the_manual_page_is_read() {
        for (option, text, listen, connect) in [
            ("-L", "8080:web:80", port(8080), to("web", 80)),
            (
                "-L",
                "127.0.0.2:8080:web:80",
                at("127.0.0.2", 8080),
                to("web", 80),
            ),
            ("-L", "localhost:8080:web:80", port(8080), to("web", 80)),
            ("-L", "*:8080:web:80", all(8080), to("web", 80)),
            ("-L", ":8080:web:80", all(8080), to("web", 80)),
            ("-L", "[]:8080:web:80", all(8080), to("web", 80)),
            (
                "-L",
                "[::1]:8080:[2001:db8::1]:80",
                at("::1", 8080),
                to("2001:db8::1", 80),
            ),
            (
                "-L",
                "[fe80::1%eth0]:1:web:2",
                at("fe80::1%eth0", 1),
                to("web", 2),
            ),
            ("-L", "0:[web]:80", port(0), to("web", 80)),
            ("-L", "8080:/run/db.sock", port(8080), to_socket("/run/db.sock")),
            (
                "-L",
                "127.0.0.1:8080:/run/db.sock",
                at("127.0.0.1", 8080),
                to_socket("/run/db.sock"),
            ),
            ("-L", "/run/web:web:80", socket("/run/web"), to("web", 80)),
            (
                "-L",
                "./web:/run/db sock",
                socket("./web"),
                to_socket("/run/db sock"),
            ),
            ("-L", "[/a:b]:/a\\:b\\\\c]", socket("/a:b"), to_socket("/a:b\\c]")),
            ("-R", "8080:web:80", port(8080), to("web", 80)),
            ("-R", "*:8080:web:80", all(8080), to("web", 80)),
            ("-R", "0:web:80", port(0), to("web", 80)),
            ("-R", "/run/web:/run/db", socket("/run/web"), to_socket("/run/db")),
            ("-R", "1080", port(1080), None),
            ("-R", "0", port(0), None),
            ("-R", "[::]:1080", at("::", 1080), None),
            ("-R", "/run/proxy", socket("/run/proxy"), None),
            ("-D", "1080", port(1080), None),
            ("-D", "0", port(0), None),
            ("-D", "*:1080", all(1080), None),
            ("-D", "[::1]:1080", at("::1", 1080), None),
            ("-D", "/run/proxy", socket("/run/proxy"), None),
        ] {
            let spec = parse(option, text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                (&spec.listen, &spec.connect),
                (&listen, &connect),
                "{option} {text}"
            );
            assert_eq!(spec.listener == Side::Remote, option == "-R", "{text}");
            assert_eq!(spec.option(), option, "{text}");
        }
    }

    #[test]
    fn what_is_no_forward_is_refused_with_the_text_and_what_is_wrong() {
        for (option, text, words) in [
            (
                "-L",
                "",
                "-L  does not have one of its forms: write [BIND_ADDRESS:]PORT:HOST:HOSTPORT",
            ),
            ("-L", "8080", "does not have one of its forms"),
            ("-L", "8080:web", "does not have one of its forms"),
            ("-L", "/run/web", "does not have one of its forms"),
            ("-L", "a:1:b:2:c", "with an IPv6 address in [brackets]"),
            ("-L", "8080:::1:80", "does not have one of its forms"),
            ("-L", "8080:web:/run/x:1", "does not have one of its forms"),
            ("-L", "/run/web:80:/run/x", "does not have one of its forms"),
            ("-L", "127.0.0.1/8080/web/80", "does not have one of its forms"),
            (
                "-D",
                "1080:web:80",
                "-D 1080:web:80 does not have one of its forms: write [BIND_ADDRESS:]PORT, or /PATH",
            ),
            ("-D", "", "has the port  to listen on"),
            ("-R", "1080:", "has the port  to listen on"),
            (
                "-R",
                "web:http",
                "-R web:http has the port http to listen on, which is not a number from 0 to 65535",
            ),
            ("-L", "65536:web:80", "has the port 65536 to listen on"),
            ("-L", "-1:web:80", "has the port -1 to listen on"),
            ("-L", "+1:web:80", "has the port +1 to listen on"),
            ("-L", " 1:web:80", "has the port  1 to listen on"),
            (
                "-L",
                "1:web:0",
                "has the port 0 to connect to, which is not a number from 1 to 65535",
            ),
            ("-L", "1:web:65536", "has the port 65536 to connect to"),
            ("-L", "1:web:http", "has the port http to connect to"),
            (
                "-L",
                "1::80",
                "has a bad host to connect to: the host name is empty",
            ),
            (
                "-L",
                "1:we b:80",
                "has a bad host to connect to: the host name we b holds",
            ),
            (
                "-L",
                "-x:1:web:80",
                "has a bad bind address: the host name -x begins with a dash",
            ),
            ("-L", "1:[::1:80", "has brackets that do not match"),
            ("-L", "1:[::1]x:80", "has brackets that do not match"),
            ("-L", "1:web:80\\", "ends with a backslash"),
            ("-L", "1:/a\0b", "has a zero byte in a path"),
            ("-L", "1:\x1b[2J:1", "the forward -L 1:\\x1b[2J:1 has a bad host"),
        ] {
            let error = parse(option, text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    fn host() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9][a-z0-9.-]{0,20}",
            any::<std::net::IpAddr>().prop_map(|address| address.to_string()),
        ]
    }

    fn path() -> impl Strategy<Value = String> {
        r"[a-z.:\\\[\] ]{0,6}/[a-zé:\\\[\] /*]{0,12}"
    }

    prop_compose! {
        fn any_spec()(
            remote: bool,
            bind in prop_oneof![
                Just(BindAddress::Loopback),
                Just(BindAddress::All),
                host().prop_map(BindAddress::Address),
            ],
            listen_port: u16,
            listen_path in proptest::option::of(path()),
            connect in proptest::option::of(prop_oneof![
                (host(), 1_u16..).prop_map(|(host, port)| ConnectAddress::Tcp { host, port }),
                path().prop_map(|path| ConnectAddress::Unix { path }),
            ]),
        ) -> ForwardIntent {
            ForwardIntent {
                listener: if remote { Side::Remote } else { Side::Local },
                listen: match listen_path {
                    Some(path) => ListenAddress::Unix { path },
                    None => ListenAddress::Tcp { bind, port: listen_port },
                },
                connect,
            }
        }
    }

    proptest! {
        #[test]
        fn a_forward_reads_back_from_its_written_form(spec in any_spec()) {
            let text = spec.to_string();
            prop_assert_eq!(parse(spec.option(), &text), Ok(spec), "{}", text);
        }

        #[test]
        fn no_text_at_all_makes_it_panic_or_lets_a_strange_host_through(
            text in prop_oneof![any::<String>(), r"[a1:/\\\[\]*]{0,20}"],
        ) {
            for option in ["-L", "-R", "-D"] {
                match parse(option, &text) {
                    Ok(spec) => {
                        if let Some(ConnectAddress::Tcp { host, port }) = &spec.connect {
                            prop_assert!(port > &0 && check_host(host).is_ok());
                        }
                        prop_assert_eq!(parse(option, &spec.to_string()), Ok(spec));
                    }
                    Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
                }
            }
        }
    }
}
