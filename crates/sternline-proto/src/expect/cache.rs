//! What has been worked out of an automaton's deterministic form.

use std::collections::HashMap;

/// The state holds a match.
pub(super) const MATCH: u8 = 1;
/// That match cannot be changed by what follows.
pub(super) const FINAL: u8 = 2;
/// There is nothing to be found from here on.
pub(super) const DEAD: u8 = 4;
/// The state in which a prefilter may look ahead.
pub(super) const START: u8 = 8;

/// Set in an entry of the table that needs more than going on.
const SPECIAL: u32 = 1 << 31;
/// Set where a match ended before the byte.
const ENDED_BEFORE: u32 = 1 << 30;
const UNKNOWN: u32 = u32::MAX;
const STATE: u32 = ENDED_BEFORE - 1;

/// How many entries the table may have: 1 MiB.
const LARGEST: usize = 256 * 1024;

/// States and the ways between them. When the table is full it is emptied, and what is needed is worked out anew.
#[derive(Debug)]
pub(super) struct Cache {
    classes: usize,
    is_filtered: bool,
    /// The list of the state in which a prefilter may look ahead.
    start: Box<[u32]>,
    /// For each state a row with an entry for each class. A state's number is the place of its row.
    table: Vec<u32>,
    states: Vec<DfaState>,
    numbers: HashMap<DfaKey, u32>,
    /// Since a list was loaded.
    was_emptied: bool,
    // What follows is for working out one state, kept so that nothing is allocated for it.
    list: Vec<u32>,
    spare: Vec<u32>,
    stack: Vec<u32>,
    visited: Vec<u32>,
    visit: u32,
}

type DfaKey = (u8, Box<[u32]>);

#[derive(Debug)]
struct DfaState {
    prev: u8,
    flags: u8,
    /// The states of the other automaton that it stands for, in order of importance.
    threads: Box<[u32]>,
}

impl Cache {
    pub(super) fn new(classes: usize, nfa_states: usize, is_filtered: bool) -> Self {
        Self {
            classes: classes.max(1),
            is_filtered,
            start: Box::default(),
            table: Vec::new(),
            states: Vec::new(),
            numbers: HashMap::new(),
            was_emptied: false,
            list: Vec::new(),
            spare: Vec::new(),
            stack: Vec::new(),
            visited: vec![0; nfa_states],
            visit: 0,
        }
    }

    fn state(&self, state: u32) -> Option<&DfaState> {
        self.states.get(state as usize / self.classes)
    }

    pub(super) fn has(&self, state: u32, flag: u8) -> bool {
        self.state(state).is_some_and(|state| state.flags & flag != 0)
    }

    /// What went before the state, where that matters.
    pub(super) fn prev(&self, state: u32) -> u8 {
        self.state(state).map_or(0, |state| state.prev)
    }

    /// Goes on for as long as nothing special happens. The state, and how many bytes were passed.
    pub(super) fn run(&self, from: u32, bytes: &[u8], classes: &[u8; 256]) -> (u32, usize) {
        let mut state = from;
        for (passed, &byte) in bytes.iter().enumerate() {
            let class = classes.get(usize::from(byte)).copied().unwrap_or_default();
            let entry = self.table.get(state as usize + usize::from(class));
            match entry {
                Some(&entry) if entry & SPECIAL == 0 => state = entry,
                _ => return (state, passed),
            }
        }
        (state, bytes.len())
    }

    /// Where a byte of this class leads, if that has been worked out, and whether a match ended before it.
    pub(super) fn known(&self, state: u32, class: u8) -> Option<(u32, bool)> {
        match self.table.get(state as usize + usize::from(class)) {
            Some(&entry) if entry != UNKNOWN => Some((entry & STATE, entry & ENDED_BEFORE != 0)),
            _ => None,
        }
    }

    /// Notes where a byte of this class leads.
    pub(super) fn remember(&mut self, state: u32, class: u8, next: u32, ended_before: bool) {
        // The state that it leads from is gone if the table was emptied meanwhile.
        if self.was_emptied {
            return;
        }
        let mut entry = next;
        if ended_before {
            entry |= SPECIAL | ENDED_BEFORE;
        } else if self.state(next).is_some_and(|state| state.flags != 0) {
            entry |= SPECIAL;
        }
        if let Some(place) = self.table.get_mut(state as usize + usize::from(class)) {
            *place = entry;
        }
    }

    /// Notes that the list is the state in which the prefilter may look ahead.
    pub(super) fn note_start(&mut self) {
        if self.is_filtered {
            self.start = self.list.as_slice().into();
        }
    }

    /// The number of the state that stands for the list.
    pub(super) fn intern(&mut self, prev: u8, flags: u8) -> u32 {
        let key = (prev, Box::from(self.list.as_slice()));
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        if self.table.len() + self.classes > LARGEST {
            self.table.clear();
            self.states.clear();
            self.numbers.clear();
            self.was_emptied = true;
        }
        let mut flags = flags;
        if self.is_filtered && key.1 == self.start {
            flags |= START;
        }
        // The table is far smaller than what a number can say.
        let number = u32::try_from(self.table.len()).unwrap_or(STATE);
        self.table.resize(self.table.len() + self.classes, UNKNOWN);
        self.states.push(DfaState {
            prev,
            flags,
            threads: key.1.clone(),
        });
        self.numbers.insert(key, number);
        number
    }

    /// Begins an empty list.
    pub(super) fn begin_list(&mut self) {
        self.list.clear();
        self.stack.clear();
        self.visit = self.visit.wrapping_add(1);
        if self.visit == 0 {
            self.visited.fill(0);
            self.visit = 1;
        }
    }

    /// Begins with the list of a state.
    pub(super) fn load_list(&mut self, state: u32) {
        self.begin_list();
        self.was_emptied = false;
        let mut list = std::mem::take(&mut self.list);
        if let Some(state) = self.state(state) {
            list.extend_from_slice(&state.threads);
        }
        self.list = list;
    }

    pub(super) fn list(&self) -> &[u32] {
        &self.list
    }

    /// The list, to go through it while the next one is made. [`Cache::give_back`] takes it again.
    pub(super) fn take_list(&mut self) -> Vec<u32> {
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.list, spare)
    }

    pub(super) fn give_back(&mut self, list: Vec<u32>) {
        self.spare = list;
    }

    pub(super) fn add(&mut self, id: u32) {
        self.list.push(id);
    }

    /// Whether this has not been visited since the list was begun.
    pub(super) fn visit(&mut self, id: u32) -> bool {
        let visit = self.visit;
        match self.visited.get_mut(id as usize) {
            Some(visited) if *visited != visit => {
                *visited = visit;
                true
            }
            _ => false,
        }
    }

    pub(super) fn push(&mut self, id: u32) {
        self.stack.push(id);
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        self.stack.pop()
    }

    pub(super) fn clear_stack(&mut self) {
        self.stack.clear();
    }
}
