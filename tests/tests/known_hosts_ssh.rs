//! Verdicts on host keys beside those of the real `ssh`, which talks to a real `sshd` through pipes.

use std::path::{Path, PathBuf};
use std::process::Command;

use sternline_proto::key::{CertificateKind, HostCertificate, PublicKey};
use sternline_proto::known_hosts::{HostKeyOffer, HostKeyPolicy, KnownHostsIndex, Verdict, verify};
use tempfile::TempDir;

/// A folder with the keys of a host and of two authorities, and the configuration of its server.
struct Fixture {
    folder: TempDir,
}

/// What the server shows.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Offer {
    Ed25519,
    Rsa,
    /// A certificate for the Ed25519 key, signed by `ca` for these principals.
    Certificate(&'static [&'static str]),
}

/// What became of the host key.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    Trusted,
    /// Accepted, and written into the file.
    Recorded,
    Refused,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            folder: TempDir::new().unwrap(),
        };
        for (name, kind) in [
            ("ed25519", "ed25519"),
            ("rsa", "rsa"),
            ("ca", "ed25519"),
            ("other", "ed25519"),
        ] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-t", kind, "-f"])
                .arg(fixture.path(name)));
        }
        // The directory that sshd, run as root, insists on.
        if rustix::process::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Type and base64 of a public key.
    fn public(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    fn key(&self, name: &str) -> PublicKey {
        let text = self.public(name);
        let (algorithm, base64) = text.split_once(' ').unwrap();
        PublicKey::from_text(algorithm, base64).unwrap()
    }

    /// Replaces the names of keys, written as `{name}`, by the keys.
    fn expand(&self, text: &str) -> String {
        ["ed25519", "rsa", "ca", "other"]
            .iter()
            .fold(text.to_owned(), |text, name| {
                text.replace(&format!("{{{name}}}"), &self.public(name))
            })
    }

    /// What ssh does. It cannot log in, so how it fails tells whether it got as far as to try.
    fn by_ssh(&self, content: &str, policy: &str, host: &str, port: u16, offer: Offer) -> Outcome {
        let file = self.path("known_hosts");
        std::fs::write(&file, content).unwrap();
        let mut config =
            String::from("UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n");
        let shown = if offer == Offer::Rsa { "rsa" } else { "ed25519" };
        config += &format!("HostKey {}\n", self.path(shown).display());
        if let Offer::Certificate(principals) = offer {
            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-h", "-I", "host", "-s"]).arg(self.path("ca"));
            if !principals.is_empty() {
                sign.args(["-n", &principals.join(",")]);
            }
            run(sign.arg(self.path("ed25519.pub")));
            config += &format!("HostCertificate {}\n", self.path("ed25519-cert.pub").display());
        }
        std::fs::write(self.path("sshd_config"), config).unwrap();
        let server = format!("/usr/sbin/sshd -i -f {}", self.path("sshd_config").display());
        let output = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "GlobalKnownHostsFile=none",
                "-o",
                "HashKnownHosts=no",
            ])
            .args([
                "-o",
                &format!("ProxyCommand={server}"),
                "-o",
                &format!("StrictHostKeyChecking={policy}"),
            ])
            .args([
                "-o",
                &format!("UserKnownHostsFile={}", file.display()),
                "-o",
                "UpdateHostKeys=no",
            ])
            .args([
                "-o",
                "PubkeyAuthentication=no",
                "-p",
                &port.to_string(),
                "--",
                host,
                "true",
            ])
            .output()
            .expect("ssh of Debian's openssh-client is installed");
        let message = String::from_utf8_lossy(&output.stderr);
        let recorded = std::fs::read_to_string(&file).unwrap() != content;
        match (
            message.contains("Host key verification failed"),
            message.contains("Permission denied"),
        ) {
            (true, false) => Outcome::Refused,
            (false, true) if recorded => Outcome::Recorded,
            (false, true) => Outcome::Trusted,
            _ => panic!("ssh said neither yes nor no: {message}"),
        }
    }

    fn by_us(&self, content: &str, policy: &str, host: &str, port: u16, offer: Offer) -> Outcome {
        let offer = match offer {
            Offer::Ed25519 => HostKeyOffer::Key(self.key("ed25519")),
            Offer::Rsa => HostKeyOffer::Key(self.key("rsa")),
            Offer::Certificate(principals) => HostKeyOffer::Certificate(HostCertificate {
                key: self.key("ed25519"),
                authority: self.key("ca"),
                kind: CertificateKind::Host,
                key_id: "host".into(),
                signature_algorithm: "ssh-ed25519".into(),
                serial: 0,
                principals: principals.iter().map(|name| (*name).into()).collect(),
                valid_after: 0,
                valid_before: u64::MAX,
                critical_options: Vec::new(),
            }),
        };
        let mut index = KnownHostsIndex::new();
        index.add_file("f", content.as_bytes());
        let policy: HostKeyPolicy = policy.parse().unwrap();
        match verify(policy, &index.lookup(host, port), &offer, 1_000) {
            Verdict::Trusted(_) => Outcome::Trusted,
            Verdict::Record => Outcome::Recorded,
            Verdict::Refused(_) => Outcome::Refused,
            other => panic!("neither yes nor no: {other:?}"),
        }
    }
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .expect("ssh-keygen of Debian's openssh-client is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn plain_keys_are_judged_as_by_ssh() {
    use Offer::{Ed25519, Rsa};
    use Outcome::{Recorded, Refused, Trusted};

    assert!(
        Path::new("/usr/sbin/sshd").exists(),
        "sshd of Debian's openssh-server is installed"
    );
    let fixture = Fixture::new();
    // The file, host, port, key shown, and the outcomes under strict and accept-new.
    for (content, host, port, offer, strict, accept_new) in [
        ("", "web1.lan", 22, Ed25519, Refused, Recorded),
        ("", "web1.lan", 2222, Rsa, Refused, Recorded),
        ("web1.lan {ed25519}\n", "web1.lan", 22, Ed25519, Trusted, Trusted),
        ("web1.lan {ed25519}\n", "WEB1.lan", 22, Ed25519, Trusted, Trusted),
        (
            "*.lan {rsa}\n*.lan {ed25519}\n",
            "web1.lan",
            22,
            Ed25519,
            Trusted,
            Trusted,
        ),
        ("web1.lan {other}\n", "web1.lan", 22, Ed25519, Refused, Refused),
        ("web1.lan {ed25519}\n", "web1.lan", 22, Rsa, Refused, Refused),
        (
            "*.lan,!web1.lan {other}\n",
            "web1.lan",
            22,
            Ed25519,
            Refused,
            Recorded,
        ),
        (
            "web1.lan {ed25519}\n",
            "web1.lan",
            2222,
            Ed25519,
            Trusted,
            Trusted,
        ),
        ("web1.lan {other}\n", "web1.lan", 2222, Ed25519, Refused, Recorded),
        (
            "web1.lan {ed25519}\n[web1.lan]:2222 {other}\n",
            "web1.lan",
            2222,
            Ed25519,
            Refused,
            Refused,
        ),
        (
            "[web1.lan]:22 {other}\n",
            "web1.lan",
            22,
            Ed25519,
            Refused,
            Recorded,
        ),
        (
            "[web1.lan]:2222 {ed25519}\n",
            "web1.lan",
            2222,
            Ed25519,
            Trusted,
            Trusted,
        ),
        (
            "@revoked * {ed25519}\nweb1.lan {ed25519}\n",
            "web1.lan",
            22,
            Ed25519,
            Refused,
            Refused,
        ),
        (
            "web1.lan {ed25519}\n@revoked * {ed25519}\n",
            "web1.lan",
            22,
            Ed25519,
            Refused,
            Refused,
        ),
        (
            "@revoked web1.lan {ed25519}\n",
            "web1.lan",
            22,
            Ed25519,
            Refused,
            Refused,
        ),
        (
            "@cert-authority * {ca}\n",
            "web1.lan",
            22,
            Ed25519,
            Refused,
            Recorded,
        ),
        (
            "@cert-authority * {ed25519}\n",
            "web1.lan",
            22,
            Ed25519,
            Refused,
            Recorded,
        ),
        (
            "broken\nweb1.lan {ed25519}\n",
            "web1.lan",
            22,
            Ed25519,
            Trusted,
            Trusted,
        ),
    ] {
        let text = fixture.expand(content);
        for (policy, expected) in [("yes", strict), ("accept-new", accept_new)] {
            let case = format!("{content:?} {host}:{port} {offer:?} {policy}");
            assert_eq!(
                fixture.by_ssh(&text, policy, host, port, offer),
                expected,
                "ssh: {case}"
            );
            assert_eq!(
                fixture.by_us(&text, policy, host, port, offer),
                expected,
                "we: {case}"
            );
        }
    }
}

#[test]
fn certificates_are_judged_as_by_ssh_or_more_strictly() {
    use Offer::Certificate;
    use Outcome::{Recorded, Refused, Trusted};

    let fixture = Fixture::new();
    let right = Certificate(&["web1.lan"]);
    // The file, port, certificate, and the outcomes by ssh and by us, each under strict and accept-new.
    for (content, port, offer, by_ssh, by_us) in [
        (
            "@cert-authority *.lan {ca}\n",
            22,
            right,
            [Trusted, Trusted],
            [Trusted, Trusted],
        ),
        (
            "@cert-authority *.lan {ca}\n",
            2222,
            right,
            [Trusted, Trusted],
            [Trusted, Trusted],
        ),
        (
            "@cert-authority *.lan {ca}\nweb1.lan {other}\n",
            22,
            right,
            [Trusted, Trusted],
            [Trusted, Trusted],
        ),
        (
            "web1.lan {ed25519}\n",
            22,
            right,
            [Trusted, Trusted],
            [Trusted, Trusted],
        ),
        ("", 22, right, [Refused, Recorded], [Refused, Recorded]),
        (
            "web1.lan {other}\n",
            22,
            right,
            [Refused, Refused],
            [Refused, Refused],
        ),
        (
            "@revoked * {ca}\n@cert-authority * {ca}\n",
            22,
            right,
            [Refused, Refused],
            [Refused, Refused],
        ),
        (
            "@revoked * {ed25519}\n@cert-authority * {ca}\n",
            22,
            right,
            [Refused, Refused],
            [Refused, Refused],
        ),
        (
            "@cert-authority * {other}\nweb1.lan {ed25519}\n",
            22,
            right,
            [Trusted, Trusted],
            [Trusted, Trusted],
        ),
        // Known by an authority, but not by this one: not a new host.
        (
            "@cert-authority * {other}\n",
            22,
            right,
            [Refused, Recorded],
            [Refused, Refused],
        ),
        (
            "@cert-authority * {ca}\n",
            22,
            Certificate(&["db"]),
            [Refused, Recorded],
            [Refused, Refused],
        ),
        // A certificate that names nobody is good for every host to ssh, and for none to us.
        (
            "@cert-authority * {ca}\n",
            22,
            Certificate(&[]),
            [Trusted, Trusted],
            [Refused, Refused],
        ),
    ] {
        let text = fixture.expand(content);
        for (i, policy) in ["yes", "accept-new"].into_iter().enumerate() {
            let case = format!("{content:?} port {port} {offer:?} {policy}");
            assert_eq!(
                fixture.by_ssh(&text, policy, "web1.lan", port, offer),
                by_ssh[i],
                "ssh: {case}"
            );
            assert_eq!(
                fixture.by_us(&text, policy, "web1.lan", port, offer),
                by_us[i],
                "we: {case}"
            );
        }
    }
}
