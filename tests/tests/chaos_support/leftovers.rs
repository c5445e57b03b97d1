//! What this process holds: whatever a round leaves behind shows in here.

use std::time::Duration;

use sternline_tests::processes;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

/// How long what ends in the background may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tasks, open files and sockets, and child processes.
#[derive(Debug)]
pub(crate) struct Leftovers {
    tasks: usize,
    files: Vec<String>,
    children: Vec<String>,
}

impl Leftovers {
    pub(crate) fn now() -> Self {
        let entries = std::fs::read_dir("/proc/self/fd").unwrap();
        let mut files: Vec<String> = entries
            .flatten()
            // Listing them opens one more, which is gone by now.
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .map(|file| file.display().to_string())
            .collect();
        files.sort();
        let own = std::process::id();
        let children = processes::all()
            .into_iter()
            .filter(|process| process.parent == own);
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            files,
            children: children.map(|process| process.command).collect(),
        }
    }

    /// What there is now must come down to what there was then.
    pub(crate) async fn expect_no_more(&self) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let now = Self::now();
            let same = now.tasks <= self.tasks
                && now.files.len() <= self.files.len()
                && now.children.len() <= self.children.len();
            if same {
                return;
            }
            assert!(Instant::now() < give_up, "leaked: {now:#?}\nbefore: {self:#?}");
            pause().await;
        }
    }
}

/// Looks again and again until nothing is found any more.
pub(crate) async fn none_left(what: &str, mut find: impl FnMut() -> Vec<String>) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let found = find();
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < give_up, "{what}: {found:#?}");
        pause().await;
    }
}

/// Between looks at all processes of a machine, which take time themselves.
async fn pause() {
    sleep(Duration::from_millis(10)).await;
}
