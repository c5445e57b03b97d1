//! Finding any of many needles in one pass (Aho and Corasick, 1975).
//!
//! Our own because of what it holds: every byte of it is a byte of a secret, and is overwritten when it goes.

use std::collections::VecDeque;

use zeroize::Zeroize;

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// A set of needles, ready to be searched for. Linear in the haystack, whatever the needles are.
#[derive(Default)]
pub(super) struct Searcher {
    nodes: Vec<Node>,
    /// The children of the root by their byte, since nearly every byte of a text is looked up here.
    first: Vec<u32>,
    lengths: Vec<usize>,
}

struct Node {
    byte: u8,
    child: u32,
    sibling: u32,
    /// The longest proper suffix of this node's path that is the beginning of a needle.
    fail: u32,
    /// The needle that ends here.
    needle: u32,
    /// The next node on the way of `fail` where a needle ends.
    shorter: u32,
}

impl Node {
    fn new(byte: u8) -> Self {
        Self {
            byte,
            child: NONE,
            sibling: NONE,
            fail: ROOT,
            needle: NONE,
            shorter: NONE,
        }
    }
}

impl Searcher {
    /// Needles that are empty are never found; of two that are equal only the first one is.
    pub(super) fn new<'a>(needles: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let total: usize = needles.clone().map(<[u8]>::len).sum();
        // A vector that grows would leave its contents behind in memory that is not overwritten.
        let mut nodes = Vec::with_capacity(total + 1);
        nodes.push(Node::new(0));
        let mut searcher = Self {
            nodes,
            first: vec![NONE; 256],
            lengths: Vec::new(),
        };
        for needle in needles {
            searcher.insert(needle);
        }
        searcher.link();
        searcher
    }

    fn insert(&mut self, needle: &[u8]) {
        let number = index(self.lengths.len());
        self.lengths.push(needle.len());
        let mut at = ROOT;
        for &byte in needle {
            at = match self.child(at, byte) {
                NONE => self.grow(at, byte),
                found => found,
            };
        }
        if let Some(node) = self.nodes.get_mut(at as usize).filter(|_| at != ROOT)
            && node.needle == NONE
        {
            node.needle = number;
        }
    }

    fn grow(&mut self, parent: u32, byte: u8) -> u32 {
        let grown = index(self.nodes.len());
        let mut node = Node::new(byte);
        if let Some(parent) = self.nodes.get_mut(parent as usize) {
            node.sibling = std::mem::replace(&mut parent.child, grown);
        }
        if parent == ROOT
            && let Some(first) = self.first.get_mut(usize::from(byte))
        {
            *first = grown;
        }
        self.nodes.push(node);
        grown
    }

    fn child(&self, parent: u32, byte: u8) -> u32 {
        if parent == ROOT {
            return self.first.get(usize::from(byte)).copied().unwrap_or(NONE);
        }
        let mut at = self.node(parent).map_or(NONE, |node| node.child);
        while let Some(node) = self.node(at) {
            if node.byte == byte {
                return at;
            }
            at = node.sibling;
        }
        NONE
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)
    }

    /// Where to go on after a byte, from the longest beginning of a needle that is still possible.
    fn step(&self, mut at: u32, byte: u8) -> u32 {
        loop {
            match self.child(at, byte) {
                NONE if at == ROOT => return ROOT,
                NONE => at = self.node(at).map_or(ROOT, |node| node.fail),
                found => return found,
            }
        }
    }

    /// Sets `fail` and `shorter`, level by level.
    fn link(&mut self) {
        let mut queue: VecDeque<(u32, u32)> = VecDeque::from([(ROOT, ROOT)]);
        while let Some((at, parent)) = queue.pop_front() {
            let Some(node) = self.node(at) else { continue };
            let (byte, mut child) = (node.byte, node.child);
            if at != ROOT {
                let fail = match parent {
                    ROOT => ROOT,
                    parent => self.step(self.node(parent).map_or(ROOT, |node| node.fail), byte),
                };
                let shorter = self.node(fail).map_or(NONE, |node| match node.needle {
                    NONE => node.shorter,
                    _ => fail,
                });
                if let Some(node) = self.nodes.get_mut(at as usize) {
                    (node.fail, node.shorter) = (fail, shorter);
                }
            }
            while let Some(next) = self.node(child) {
                queue.push_back((child, at));
                child = next.sibling;
            }
        }
    }

    /// Calls `found` with the number, the start and the end of every occurrence, overlapping ones included.
    pub(super) fn search(&self, haystack: &[u8], mut found: impl FnMut(usize, usize, usize)) {
        let mut at = ROOT;
        for (position, &byte) in haystack.iter().enumerate() {
            at = self.step(at, byte);
            let mut ending = at;
            while let Some(node) = self.node(ending).filter(|_| ending != ROOT) {
                if let Some(&length) = self.lengths.get(node.needle as usize) {
                    found(node.needle as usize, position + 1 - length, position + 1);
                }
                ending = node.shorter;
            }
        }
    }
}

/// Four thousand million bytes of secrets are not to be had.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NONE)
}

impl Drop for Searcher {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.byte.zeroize();
        }
        self.first.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(needles: &[&str], haystack: &str) -> Vec<(usize, usize, usize)> {
        let mut all = Vec::new();
        let searcher = Searcher::new(needles.iter().map(|needle| needle.as_bytes()));
        searcher.search(haystack.as_bytes(), |needle, from, to| {
            all.push((needle, from, to))
        });
        all.sort_unstable();
        all
    }

    #[test]
    fn needles_are_found_inside_one_another_and_across_one_another() {
        assert_eq!(
            found(&["she", "he", "hers", "his"], "ushers"),
            [(0, 1, 4), (1, 2, 4), (2, 2, 6)]
        );
        assert_eq!(found(&["aa", "", "aa"], "aaa"), [(0, 0, 2), (0, 1, 3)]);
        assert_eq!(found(&[], "anything"), []);
    }

    proptest! {
        #[test]
        fn every_occurrence_is_found_and_nothing_else(
            needles in proptest::collection::vec("[ab]{1,4}", 0..5), haystack in "[abc]{0,30}",
        ) {
            let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
            let mut expected = Vec::new();
            for (number, needle) in needles.iter().enumerate() {
                if needles.iter().take(number).any(|before| before == needle) {
                    continue;
                }
                for from in 0..haystack.len() {
                    if haystack[from..].starts_with(needle) {
                        expected.push((number, from, from + needle.len()));
                    }
                }
            }
            expected.sort_unstable();
            prop_assert_eq!(found(&needles, &haystack), expected);
        }
    }
}
