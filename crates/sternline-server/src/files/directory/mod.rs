//! A real directory that nobody leaves. Unix only.
//!
//! Every path is walked from the root by descriptors, one name at a time and without following a symbolic link; those are
//! resolved here, as after chroot(2). The last step is done by its name in the directory that the walk reached, again
//! without following. So whatever is renamed or replaced in the meantime, nothing outside is reached.

mod chmod;
mod confined;
mod open;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use confined::ConfinedDirectory;
