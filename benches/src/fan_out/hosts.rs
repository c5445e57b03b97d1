//! The hosts: addresses from 127.1.0.1 on.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

/// How many hosts share the first three numbers of their addresses.
const ROW: u32 = 200;

/// So many addresses, and the files that name them.
pub(crate) struct Hosts {
    pub(crate) count: u32,
    folder: tempfile::TempDir,
}

impl Hosts {
    /// A multiple of 200, or fewer than that.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub(crate) fn new(count: u32) -> Result<Self, Box<dyn Error>> {
        let this = Self {
            count,
            folder: tempfile::tempdir()?,
        };
        let addresses: Vec<String> = (0..count)
            .map(|index| format!("127.1.{}.{}", index / ROW, index % ROW + 1))
            .collect();
        fs::write(this.list(), addresses.join("\n") + "\n")?;
        fs::create_dir(this.home())?;
        Ok(this)
    }

    /// As Sternline and clush write them: `127.1.[0-4].[1-200]`.
    pub(crate) fn range(&self) -> String {
        match self.count / ROW {
            0 => format!("127.1.0.[1-{}]", self.count),
            1 => format!("127.1.0.[1-{ROW}]"),
            rows => format!("127.1.[0-{}].[1-{ROW}]", rows - 1),
        }
    }

    /// A file with one address on each line.
    pub(crate) fn list(&self) -> PathBuf {
        self.file("hosts")
    }

    /// An empty home directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.file("home")
    }

    /// A file beside the others.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_names_the_hosts_of_the_list() {
        for count in [3, 200, 1000, 10_000] {
            let hosts = Hosts::new(count).unwrap();
            let list = fs::read_to_string(hosts.list()).unwrap();
            let targets = sternline_proto::target::parse_targets(&hosts.range()).unwrap();
            let names: Vec<String> = targets
                .targets
                .iter()
                .map(|target| target.host().to_owned())
                .collect();
            assert_eq!(names, list.lines().collect::<Vec<_>>());
            assert_eq!(names.len(), count as usize);
        }
    }
}
