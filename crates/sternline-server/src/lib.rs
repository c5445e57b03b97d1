//! An SSH server to embed.
