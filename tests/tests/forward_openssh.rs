//! Our reading of `-L`, `-R` and `-D` beside that of `ssh -G`, which prints what ssh made of them.
use std::process::{Command, Stdio};

use proptest::prelude::*;
use sternline_proto::forward::{
    BindAddress, ConnectAddress, ForwardError, ForwardIntent, ListenAddress, Side,
};

fn ours(option: &str, text: &str) -> Result<ForwardIntent, ForwardError> {
    match option {
        "-L" => ForwardIntent::local(text),
        "-R" => ForwardIntent::remote(text),
        _ => ForwardIntent::dynamic(text),
    }
}

/// The line that ssh prints for a forward, without the difference between two ways to write the same bind address, or
/// `None` if it refuses.
fn line_of_ssh(option: &str, text: &str) -> Option<String> {
    let asked = Command::new("ssh")
        .args(["-G", "-F", "/dev/null", option, text, "host"])
        .stdin(Stdio::null())
        .output()
        .expect("ssh is needed by this test: apt-get install openssh-client");
    if !asked.status.success() {
        return None;
    }
    let keyword = match option {
        "-L" => "localforward ",
        "-R" => "remoteforward ",
        _ => "dynamicforward ",
    };
    let text = String::from_utf8(asked.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with(keyword)).unwrap();
    Some(line.replace(" []:", " [*]:").replace(" [localhost]:", " "))
}

/// The same line, from our reading.
fn line_of_ours(spec: &ForwardIntent) -> String {
    let listen = match &spec.listen {
        ListenAddress::Unix { path } => path.clone(),
        ListenAddress::Tcp { bind, port } => match bind {
            BindAddress::Loopback => port.to_string(),
            BindAddress::All => format!("[*]:{port}"),
            BindAddress::Address(address) => format!("[{address}]:{port}"),
        },
    };
    let connect = match &spec.connect {
        Some(ConnectAddress::Unix { path }) => format!(" {path}"),
        Some(ConnectAddress::Tcp { host, port }) => format!(" [{host}]:{port}"),
        None if spec.listener == Side::Remote => " [socks]:0".to_owned(),
        None => String::new(),
    };
    let keyword = match spec.option() {
        "-L" => "localforward",
        "-R" => "remoteforward",
        _ => "dynamicforward",
    };
    format!("{keyword} {listen}{connect}")
}

#[test]
fn ssh_reads_every_form_as_we_do() {
    for (option, text) in [
        ("-L", "8080:web:80"),
        ("-L", "127.0.0.2:8080:web:80"),
        ("-L", "localhost:8080:web:80"),
        ("-L", "*:8080:web:80"),
        ("-L", ":8080:web:80"),
        ("-L", "[]:8080:web:80"),
        ("-L", "[::1]:8080:[2001:db8::1]:80"),
        ("-L", "8080:/run/db.sock"),
        ("-L", "127.0.0.1:8080:/run/db.sock"),
        ("-L", "/run/web:web:80"),
        ("-L", "./web:/run/db sock"),
        ("-L", "[/a:b]:/a\\:b\\\\c"),
        ("-R", "8080:web:80"),
        ("-R", "*:8080:web:80"),
        ("-R", "0:web:80"),
        ("-R", "0:/run/db.sock"),
        ("-R", "/run/web:/run/db"),
        ("-R", "1080"),
        ("-R", "0"),
        ("-R", ":1080"),
        ("-R", "[::1]:1080"),
        ("-R", "/run/proxy"),
        ("-D", "1080"),
        ("-D", "localhost:1080"),
        ("-D", "*:1080"),
        ("-D", "[::1]:1080"),
        ("-D", "/run/proxy"),
    ] {
        let spec = ours(option, text).unwrap();
        assert_eq!(
            Some(line_of_ours(&spec)),
            line_of_ssh(option, text),
            "{option} {text}"
        );
    }
}

#[test]
fn what_ssh_refuses_is_refused_but_for_a_free_port_of_the_systems_choice() {
    for (option, text) in [
        ("-L", ""),
        ("-L", "8080"),
        ("-L", "8080:web"),
        ("-L", "a:1:b:2:c"),
        ("-L", "8080:::1:80"),
        ("-L", "8080:web:/run/x:1"),
        ("-L", "127.0.0.1/8080/web/80"),
        ("-L", "65536:web:80"),
        ("-L", "-1:web:80"),
        ("-L", "8080:web:0"),
        ("-L", "8080:web:65536"),
        ("-L", "8080:[::1:80"),
        ("-L", "8080:[::1]x:80"),
        ("-L", "8080:web:80\\"),
        ("-D", "1080:web:80"),
        ("-D", ""),
        ("-R", "65536"),
    ] {
        assert_eq!(line_of_ssh(option, text), None, "{option} {text}");
        assert!(ours(option, text).is_err(), "{option} {text}");
    }
    for (option, text) in [("-L", "0:web:80"), ("-D", "0")] {
        assert_eq!(line_of_ssh(option, text), None, "{option} {text}");
        assert!(ours(option, text).is_ok(), "{option} {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_we_accept_ssh_reads_in_the_same_way(
        option in prop_oneof![Just("-L"), Just("-R"), Just("-D")],
        fields in proptest::collection::vec(
            prop_oneof!["[1-9][0-9]{0,4}", "web", "[a-z]?/[a-z:\\[]{0,3}", "\\[[0-9a-f:/]{0,6}\\]", "[*:\\\\a]{0,2}"],
            1..5,
        ),
    ) {
        // A port of the system's choice, in brackets too, is taken by us alone: see the test above.
        let is_zero = |field: &String| {
            let digits = field.trim_matches(['[', ']']);
            !digits.is_empty() && digits.chars().all(|digit| digit == '0')
        };
        prop_assume!(!fields.iter().any(is_zero));
        let text = fields.join(":");
        if let Ok(spec) = ours(option, &text) {
            prop_assert_eq!(Some(line_of_ours(&spec)), line_of_ssh(option, &text), "{} {}", option, text);
        }
    }
}
