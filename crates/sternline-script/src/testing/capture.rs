//! What a test writes, kept for the report of its failure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::session::Output;

/// Bytes that are kept of one test.
const LIMIT: usize = 1024 * 1024;

/// Keeps what is written until it is taken, and passes it on meanwhile if it is to be seen at once.
pub(super) struct Capture {
    live: Option<Arc<dyn Output>>,
    kept: Mutex<String>,
}

impl Capture {
    pub(super) fn new(live: Option<Arc<dyn Output>>) -> Self {
        Self {
            live,
            kept: Mutex::default(),
        }
    }

    /// What was written since the last time.
    pub(super) fn take(&self) -> String {
        std::mem::take(&mut *self.lock())
    }

    fn keep(&self, text: &str) {
        let mut kept = self.lock();
        if kept.len() > LIMIT {
            return;
        }
        kept.push_str(text);
        if kept.len() > LIMIT {
            let mut end = LIMIT;
            while !kept.is_char_boundary(end) {
                end -= 1;
            }
            kept.truncate(end);
            kept.push_str("\n[more was written than is kept]\n");
        }
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output for Capture {
    fn out(&self, text: &str) {
        self.keep(text);
        if let Some(live) = &self.live {
            live.out(text);
        }
    }

    fn message(&self, line: &str) {
        self.keep(&format!("{line}\n"));
        if let Some(live) = &self.live {
            live.message(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_there_any_more_and_no_more_is_kept_than_the_limit() {
        let capture = Capture::new(None);
        capture.out("a\n");
        capture.message("b");
        assert_eq!(capture.take(), "a\nb\n");
        for _ in 0..3 {
            capture.out(&"é".repeat(LIMIT / 2 + 1));
        }
        let kept = capture.take();
        assert!(kept.len() < LIMIT + 100 && kept.ends_with("\n[more was written than is kept]\n"));
        assert_eq!(capture.take(), "");
    }
}
