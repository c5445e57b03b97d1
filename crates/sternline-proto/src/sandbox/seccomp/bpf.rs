//! Classic BPF, as seccomp(2) runs it: instructions of a code, two distances to jump, and a number.

pub(super) const INSTRUCTION_BYTES: usize = 8;

/// Where `struct seccomp_data` has the number of the system call.
pub(super) const NUMBER: u32 = 0;
/// Where it has the architecture.
pub(super) const ARCHITECTURE: u32 = 4;

/// Where it has the lower half of an argument, on a little-endian machine.
pub(super) const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// Ends the process.
pub(super) const KILL_PROCESS: u32 = 0x8000_0000;
/// Lets the call through.
pub(super) const ALLOW: u32 = 0x7fff_0000;

/// The call fails with this error.
pub(super) const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// A program that grows. Conditions skip what follows them; nothing jumps back.
#[derive(Default)]
pub(super) struct Program(Vec<u8>);

impl Program {
    fn push(&mut self, code: u16, if_true: u8, if_false: u8, k: u32) {
        self.0.extend(code.to_le_bytes());
        self.0.extend([if_true, if_false]);
        self.0.extend(k.to_le_bytes());
    }

    /// Loads a word of `struct seccomp_data`.
    pub(super) fn load(&mut self, offset: u32) {
        self.push(LOAD_WORD, 0, 0, offset);
    }

    pub(super) fn end(&mut self, action: u32) {
        self.push(RETURN, 0, 0, action);
    }

    /// Skips the next `count` instructions if what is loaded is `k`.
    pub(super) fn skip_if_equal(&mut self, k: u32, count: u8) {
        self.push(JUMP_IF_EQUAL, count, 0, k);
    }

    /// Skips the next `count` instructions unless what is loaded is `k`.
    pub(super) fn skip_unless_equal(&mut self, k: u32, count: u8) {
        self.push(JUMP_IF_EQUAL, 0, count, k);
    }

    /// Ends with the action if what is loaded is `k`.
    pub(super) fn end_if_equal(&mut self, k: u32, action: u32) {
        self.skip_unless_equal(k, 1);
        self.end(action);
    }

    /// Ends with the action if what is loaded is at least `k`.
    pub(super) fn end_if_at_least(&mut self, k: u32, action: u32) {
        self.push(JUMP_IF_AT_LEAST, 0, 1, k);
        self.end(action);
    }

    /// Ends with the action if what is loaded has one of these bits.
    pub(super) fn end_if_any_bit(&mut self, bits: u32, action: u32) {
        self.push(JUMP_IF_ANY_BIT, 0, 1, bits);
        self.end(action);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
