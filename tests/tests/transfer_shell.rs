//! Everything that is promised of transfers over SFTP, on servers where it is switched off: through their shell.

#[path = "transfer.rs"]
mod transfer;
