//! What waits in a queue, and what is taken of it: decisions, without locks and files.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Incoming, MEMORY_LIMIT, MESSAGE_COST, OutputStream, PATIENCE, READ_BACK};
use crate::transport::spill::Spill;

#[derive(Debug)]
pub(super) enum Item {
    Here(Incoming),
    Spilled {
        stream: OutputStream,
        offset: u64,
        length: u64,
        at: f64,
    },
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) items: VecDeque<Item>,
    pub(super) in_memory: usize,
    pub(super) spill: Option<Spill>,
    /// End of what was written to the file, and how much of it is unread.
    pub(super) written: u64,
    pub(super) unread: u64,
    /// The pump is writing: the file must stay.
    pub(super) writing: bool,
    /// What is left of [`PATIENCE`].
    pub(super) patience: Duration,
    pub(super) overflowed: bool,
    pub(super) reader_gone: bool,
    /// The reader wants no data any more.
    pub(super) discards: bool,
    pub(super) finished: bool,
}

/// What a reader finds at the front.
pub(super) enum Front {
    Here(Incoming),
    Spilled {
        spill: Option<Spill>,
        offset: u64,
        length: usize,
    },
    Nothing,
    Finished,
}

impl State {
    pub(super) fn has_room(&self, cost: usize) -> bool {
        self.in_memory + cost <= MEMORY_LIMIT
    }

    pub(super) fn takes_no_data(&self) -> bool {
        self.reader_gone || self.discards || self.overflowed || self.finished
    }

    pub(super) fn is_about_to_spill(&self, cost: usize) -> bool {
        self.unread == 0 && !self.has_room(cost) && !self.takes_no_data()
    }

    /// There is no data any more, neither in memory nor in the file.
    pub(super) fn forget_data(&mut self) {
        self.in_memory = 0;
        self.spill = None;
        self.unread = 0;
    }

    /// Takes what is in memory; what is in the file is only pointed out.
    pub(super) fn front(&mut self) -> Front {
        match self.items.front() {
            Some(Item::Here(_)) => self.take_here().map_or(Front::Nothing, Front::Here),
            Some(Item::Spilled { offset, length, .. }) => Front::Spilled {
                spill: self.spill.clone(),
                offset: *offset,
                length: usize::try_from(*length).map_or(READ_BACK, |length| length.min(READ_BACK)),
            },
            None if self.finished => Front::Finished,
            None => Front::Nothing,
        }
    }

    /// Appends to the last run where possible: one entry for any number of bytes.
    pub(super) fn add_run(&mut self, stream: OutputStream, offset: u64, length: u64, at: f64) {
        if let Some(Item::Spilled {
            stream: last,
            offset: start,
            length: run,
            ..
        }) = self.items.back_mut()
            && *last == stream
            && *start + *run == offset
        {
            *run += length;
            return;
        }
        self.items.push_back(Item::Spilled {
            stream,
            offset,
            length,
            at,
        });
    }

    /// A reader that takes a mebibyte in the time of two patiences is as fast as most links are: it never has to be spared the
    /// waiting by way of the file. A slower one runs out of patience after a while, one that pauses at once.
    pub(super) fn regain_patience(&mut self, taken: usize) {
        let regained = PATIENCE.mul_f64(taken as f64 / (MEMORY_LIMIT / 2) as f64);
        self.patience = PATIENCE.min(self.patience + regained);
    }

    pub(super) fn take_data(&mut self) -> Option<Bytes> {
        if !matches!(self.items.front(), Some(Item::Here(Incoming::Data { .. }))) {
            return None;
        }
        match self.take_here() {
            Some(Incoming::Data { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn take_here(&mut self) -> Option<Incoming> {
        let Some(Item::Here(incoming)) = self.items.pop_front() else {
            return None;
        };
        if let Incoming::Data { bytes, .. } = &incoming {
            self.in_memory = self.in_memory.saturating_sub(bytes.len() + MESSAGE_COST);
            self.regain_patience(bytes.len());
        }
        Some(incoming)
    }

    /// Takes what was just read back off the first run; gives the file up once all of it was read.
    pub(super) fn take_spilled(&mut self, bytes: Bytes) -> Option<Incoming> {
        let Some(Item::Spilled {
            stream,
            offset,
            length,
            at,
        }) = self.items.front_mut()
        else {
            return None;
        };
        let (stream, at) = (*stream, *at);
        let taken = bytes.len() as u64;
        *offset += taken;
        *length = length.saturating_sub(taken);
        if *length == 0 {
            self.items.pop_front();
        }
        self.unread = self.unread.saturating_sub(taken);
        if self.unread == 0 && !self.writing {
            self.spill = None;
        }
        Some(Incoming::Data { stream, bytes, at })
    }
}
