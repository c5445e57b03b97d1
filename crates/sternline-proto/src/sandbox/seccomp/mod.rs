//! Seccomp filters: an assembler for as much of BPF as they need, and the default filter. See seccomp(2).

mod bpf;
mod filter;
mod syscalls;

pub use filter::default_filter;

/// The kernel takes no longer program (BPF_MAXINSNS).
const MAX_INSTRUCTIONS: usize = 4096;

/// Whether this can be a compiled filter.
pub(super) fn check_program(bytes: &[u8]) -> Result<(), String> {
    let instructions = bytes.len() / bpf::INSTRUCTION_BYTES;
    if bytes.is_empty() || !bytes.len().is_multiple_of(bpf::INSTRUCTION_BYTES) {
        return Err(
            "is no compiled filter: it has to be a whole number of instructions of 8 bytes".to_owned(),
        );
    }
    match instructions > MAX_INSTRUCTIONS {
        true => Err(format!(
            "is too long a filter: {instructions} instructions of at most {MAX_INSTRUCTIONS}"
        )),
        false => Ok(()),
    }
}
