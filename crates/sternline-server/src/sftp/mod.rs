//! SFTP version 3 (draft-ietf-secsh-filexfer-02), the server's side, with OpenSSH's extensions (its `PROTOCOL` file,
//! section 4).

mod extended;
mod handle;
mod long_name;
mod serve;
mod session;

pub(crate) use serve::serve;
