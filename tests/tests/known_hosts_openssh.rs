//! known_hosts as `ssh-keygen` reads, hashes and edits it.

use std::path::Path;
use std::process::{Command, Output};

use sternline_proto::key::PublicKey;
use sternline_proto::known_hosts::{KnownHostsIndex, Marker, add_entry, lookup_name, remove_host};
use tempfile::TempDir;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";

/// What is looked up in every file.
const QUERIES: [(&str, u16); 15] = [
    ("web1", 22),
    ("WEB1", 22),
    ("web1", 2222),
    ("web1", 2200),
    ("web2", 22),
    ("web2", 2222),
    ("web12", 22),
    ("db.lan", 22),
    ("db.lan", 2222),
    ("a.db.lan", 22),
    ("::1", 22),
    ("::1", 2222),
    ("0:0:0:0:0:0:0:1", 22),
    ("192.0.2.7", 22),
    ("192.0.2.77", 2200),
];

/// What the lists of hosts are made from.
const PATTERNS: [&str; 33] = [
    "web1",
    "WEB1",
    "Web2",
    "db.lan",
    "*",
    "?*",
    "*.lan",
    "*.LAN",
    "web?",
    "web??",
    "*1",
    "[web1]:2222",
    "[WEB1]:2222",
    "[web1]:22",
    "[web1]",
    "web1:2222",
    "[*]:2222",
    "[*]:*",
    "[web?]:22*",
    "[*.lan]:2222",
    "::1",
    "[::1]:2222",
    "[::1]",
    "192.0.2.7",
    "192.0.2.*",
    "192.0.2.0/24",
    "[192.0.2.*]:2200",
    "!web1",
    "!WEB?",
    "!*.lan",
    "![web1]:2222",
    "!*",
    "",
];

/// A xorshift generator: the files are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A line of any kind, most of them sound.
    fn line(&mut self) -> String {
        if self.chance(8) {
            return self
                .pick(&["", "   ", "# comment", "\t# web1 ssh-ed25519 AAAA", "#web1"])
                .to_owned();
        }
        let hosts = if self.chance(15) {
            self.hashed()
        } else {
            (0..=self.below(4))
                .map(|_| self.pick(&PATTERNS))
                .collect::<Vec<_>>()
                .join(",")
        };
        let markers = [
            ("@revoked", 8),
            ("@cert-authority", 8),
            ("@unknown", 2),
            ("@revoked @cert-authority", 2),
        ];
        let marker = markers.into_iter().find(|(_, percent)| self.chance(*percent));
        let key = if self.chance(12) {
            let half = &ED25519[..40];
            self.pick(&[
                "",
                "ssh-ed25519",
                "ssh-ed25519 !!!!",
                "ssh-rsa AAAA",
                "1024 35 1234567",
                half,
            ])
            .to_owned()
        } else {
            self.pick(&[ED25519, OTHER]).to_owned()
        };
        let mut line = self.pick(&["", "", "", " ", "\t ", "  "]).to_owned();
        // A blank, and no tab: ssh-keygen then takes a marker for broken if a blank follows anywhere in the line.
        if let Some((marker, _)) = marker {
            line += marker;
            line += self.pick(&[" ", "  ", " \t"]);
        }
        line += &hosts;
        line += self.pick(&[" ", " ", "\t", " \t "]);
        line + &key + self.pick(&["", " comment", "\ttwo words # more", " "]) + self.pick(&["", "", "", "\r"])
    }

    /// A hashed name that is looked up, one that is not, or one that is broken.
    fn hashed(&mut self) -> String {
        let salt: [u8; 20] = std::array::from_fn(|_| u8::try_from(self.below(256)).unwrap());
        let (host, port) = QUERIES[self.below(QUERIES.len())];
        let host = if self.chance(20) { "elsewhere" } else { host };
        let line = add_entry(b"", host, port, &key(ED25519), Some(salt))
            .unwrap()
            .content;
        let name = String::from_utf8(line)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        if self.chance(15) {
            name.replace(['a', '='], "")
        } else {
            name
        }
    }
}

fn key(text: &str) -> PublicKey {
    let (algorithm, base64) = text.split_once(' ').unwrap();
    PublicKey::from_text(algorithm, base64).unwrap()
}

fn ssh_keygen(arguments: &[&str], file: &Path) -> Output {
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .arg("-f")
        .arg(file)
        .output();
    output.expect("ssh-keygen of Debian's openssh-client is installed")
}

/// Line numbers and markers of what `ssh-keygen -F` finds. With `-l` it reads the keys too, and so skips lines whose
/// key is broken.
fn found_by_openssh(file: &Path, name: &str) -> Vec<(usize, Marker)> {
    let output = ssh_keygen(&["-l", "-F", name], file);
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text
        .lines()
        .filter_map(|line| line.split_once(" found: line "))
        .map(|(_, rest)| {
            let (number, marker) = rest.split_once(' ').unwrap_or((rest, ""));
            let marker = match marker.trim() {
                "REVOKED" => Marker::Revoked,
                "CA" => Marker::CertAuthority,
                _ => Marker::None,
            };
            (number.parse().unwrap(), marker)
        });
    found.collect()
}

fn found_by_us(content: &[u8], host: &str, port: u16) -> Vec<(usize, Marker)> {
    let mut index = KnownHostsIndex::new();
    index.add_file("f", content);
    let lookup = index.lookup(host, port);
    lookup
        .entries()
        .iter()
        .map(|entry| (entry.location.line, entry.marker))
        .collect()
}

#[test]
fn lookups_find_the_lines_that_ssh_keygen_finds() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("known_hosts");
    let mut random = Random(0x5eed_0001);
    let mut found = [0; 2];
    for _ in 0..60 {
        let lines: Vec<String> = (0..30).map(|_| random.line()).collect();
        let content = lines.join("\n");
        std::fs::write(&file, &content).unwrap();
        for (host, port) in QUERIES {
            let name = lookup_name(host, port);
            let expected = found_by_openssh(&file, &name);
            assert_eq!(
                found_by_us(content.as_bytes(), host, port),
                expected,
                "{name} in\n{content}"
            );
            found[0] += expected.len();
            found[1] += 30 - expected.len();
        }
    }
    assert!(
        found.iter().all(|count| *count > 1_000),
        "the files must put both answers to the test: {found:?}"
    );
}

#[test]
fn ssh_keygen_finds_what_we_add() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("known_hosts");
    let mut content = b"# no newline at the end".to_vec();
    for (i, (host, port)) in QUERIES.into_iter().enumerate() {
        let salt = (i % 2 == 0).then_some([u8::try_from(i).unwrap(); 20]);
        let added = add_entry(&content, host, port, &key(ED25519), salt).unwrap();
        std::fs::write(&file, &added.content).unwrap();
        let found = found_by_openssh(&file, &lookup_name(host, port));
        assert!(
            found.contains(&(added.line, Marker::None)),
            "{host} at {port}: {found:?}"
        );
        content = added.content;
    }
}

#[test]
fn we_find_the_names_that_ssh_keygen_has_hashed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("known_hosts");
    let names = QUERIES.map(|(host, port)| lookup_name(host, port)).join(",");
    std::fs::write(&file, format!("{names} {ED25519}\n")).unwrap();
    assert!(ssh_keygen(&["-q", "-H"], &file).status.success());
    let hashed = std::fs::read(&file).unwrap();
    assert!(!String::from_utf8_lossy(&hashed).contains("web1"));
    for (host, port) in QUERIES {
        assert!(!found_by_us(&hashed, host, port).is_empty(), "{host} at {port}");
    }
}

#[test]
fn removing_a_host_with_lines_of_its_own_leaves_what_ssh_keygen_leaves() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("known_hosts");
    for (host, port) in QUERIES {
        let mut content =
            format!("# comment\n@revoked * {OTHER}\n\n@cert-authority {host} {OTHER}\n").into_bytes();
        for (i, (host, port)) in QUERIES.into_iter().enumerate() {
            let salt = (i % 3 == 0).then_some([7; 20]);
            content = add_entry(&content, host, port, &key(ED25519), salt)
                .unwrap()
                .content;
        }
        std::fs::write(&file, &content).unwrap();
        assert!(
            ssh_keygen(&["-q", "-R", &lookup_name(host, port)], &file)
                .status
                .success()
        );
        let removal = remove_host(&content, host, port);
        assert!(!removal.removed.is_empty());
        let expected = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            String::from_utf8(removal.content).unwrap(),
            expected,
            "{host} at {port}"
        );
    }
}
