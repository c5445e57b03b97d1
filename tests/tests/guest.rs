//! The guest client on a real sshd.
