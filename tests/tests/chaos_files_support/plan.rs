//! What happens in a round: drawn from the seed and the number of the round, and from nothing else.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use sternline_server::fault::FaultPlan;

use super::content::Content;

#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) number: u64,
    pub(crate) driver: Driver,
    /// To the server, or from it.
    pub(crate) up: bool,
    pub(crate) checksum: bool,
    pub(crate) new: Content,
    /// What is at the target before.
    pub(crate) old: Option<Content>,
    pub(crate) blows: Vec<Blow>,
}

/// Who moves the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// A connection for each attempt.
    Library,
    /// `sternline cp`.
    Program,
    /// One supervised connection for all of it.
    Supervisor,
}

/// What breaks, and after how many bytes, both ways together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blow {
    /// The link is closed at exactly this byte.
    Cut(u64),
    /// The connection is reset.
    Reset(u64),
    /// The server's processes of the connection are killed.
    Server(u64),
    /// The program is killed.
    Client(u64),
}

/// What connecting takes.
const LOGIN: u64 = 6 << 10;

/// Names that somebody may forget to quote.
const NAMES: [&[u8]; 8] = [
    b"plain",
    b"two words",
    b"it's \"quoted\"",
    b"-dash",
    b"new\nline",
    b"$HOME `x` *?[a]",
    "\u{fc}\u{20ac}".as_bytes(),
    b"\xff\xfe",
];

impl Round {
    pub(crate) fn draw(seed: u64, number: u64) -> Self {
        let mixed = FaultPlan::from_seed(seed).draw(u64::MAX) ^ number;
        let mut plan = FaultPlan::from_seed(mixed);
        let driver = [
            Driver::Library,
            Driver::Program,
            Driver::Program,
            Driver::Supervisor,
        ][below(&mut plan, 4)];
        let up = plan.draw(2) == 0;
        let checksum = plan.draw(4) == 0;
        let is_tree = plan.draw(2) == 0;
        let content = |plan: &mut FaultPlan, is_tree, seed| {
            if is_tree {
                Content::tree(tree(plan), seed)
            } else {
                // Most are large enough to be gone on with.
                let length = if plan.draw(4) == 0 {
                    length(plan, 20)
                } else {
                    below(plan, 40 << 20)
                };
                Content::file(length, seed)
            }
        };
        let new = content(&mut plan, is_tree, mixed);
        let old = (plan.draw(2) == 0).then(|| {
            let old = content(&mut plan, is_tree, !mixed);
            // Some of the old files are to be replaced, and some stay.
            let same = new.paths().filter(|_| plan.draw(2) == 0);
            let same: Vec<_> = same.map(|path| (path.clone(), 1000)).collect();
            if is_tree {
                Content::tree(same, !mixed >> 1).over(&Content::tree([("only-old".into(), 2000)], !mixed))
            } else {
                old
            }
        });
        let all = new.bytes() as u64 + LOGIN + new.count() as u64 * 500;
        let blows = (0..1 + plan.draw(4)).map(|_| {
            let bytes = 1 + plan.draw(all);
            match plan.draw(if driver == Driver::Program { 5 } else { 4 }) {
                0 | 1 => Blow::Cut(bytes),
                2 => Blow::Reset(bytes),
                3 => Blow::Server(bytes),
                _ => Blow::Client(bytes),
            }
        });
        let blows = blows.collect();
        Self {
            seed,
            number,
            driver,
            up,
            checksum,
            new,
            old,
            blows,
        }
    }
}

fn below(plan: &mut FaultPlan, bound: u64) -> usize {
    usize::try_from(plan.draw(bound)).unwrap()
}

/// Small lengths as often as large ones, up to two to this power.
fn length(plan: &mut FaultPlan, most: u64) -> usize {
    let magnitude = plan.draw(most + 1);
    below(plan, 1 << magnitude)
}

/// Up to 150 files in up to three levels of directories, most of them small.
fn tree(plan: &mut FaultPlan) -> Vec<(PathBuf, usize)> {
    let count = 1 + below(plan, 150);
    (0..count)
        .map(|number| {
            let mut path = PathBuf::new();
            for _ in 0..plan.draw(4) {
                path.push(OsStr::from_bytes(NAMES[below(plan, NAMES.len() as u64)]));
            }
            let mut name = NAMES[below(plan, NAMES.len() as u64)].to_vec();
            // A number, so that no file has the name of a directory.
            name.extend_from_slice(format!(".{number}").as_bytes());
            path.push(OsStr::from_bytes(&name));
            (path, length(plan, if number % 40 == 0 { 22 } else { 16 }))
        })
        .collect()
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(bytes) => write!(f, "cut at byte {bytes}"),
            Self::Reset(bytes) => write!(f, "reset after {bytes} bytes"),
            Self::Server(bytes) => write!(f, "the server killed after {bytes} bytes"),
            Self::Client(bytes) => write!(f, "the program killed after {bytes} bytes"),
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.up { "upload" } else { "download" };
        write!(
            f,
            "chaos seed {} round {}: {:?}, {way} of {} files with {} bytes",
            self.seed,
            self.number,
            self.driver,
            self.new.count(),
            self.new.bytes()
        )?;
        let what = if self.new.is_tree() { " in a tree" } else { "" };
        let old = if self.old.is_some() {
            " in the place of old ones"
        } else {
            ""
        };
        write!(f, "{what}{old}")?;
        let blows: Vec<_> = self.blows.iter().map(Blow::to_string).collect();
        write!(f, "; {}", blows.join("; "))
    }
}
