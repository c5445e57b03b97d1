//! Bytes that are given, or in a file: what `base64` and `hash` work on.

use std::sync::Arc;

use starlark::eval::Evaluator;

use super::fs::content::file_bytes;

/// Where the bytes are.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Given(Arc<[u8]>),
    /// Read each time that they are wanted.
    File(String),
}

impl Data {
    pub(super) fn given(bytes: Vec<u8>) -> Self {
        Self::Given(bytes.into())
    }

    pub(super) fn bytes(
        &self,
        eval: &mut Evaluator<'_, '_, '_>,
        function: &'static str,
    ) -> anyhow::Result<Arc<[u8]>> {
        match self {
            Self::Given(bytes) => Ok(Arc::clone(bytes)),
            Self::File(path) => Ok(file_bytes(eval, function, path)?.into()),
        }
    }

    /// The bytes, if they are not in a file.
    pub(super) fn known(&self) -> Option<&[u8]> {
        match self {
            Self::Given(bytes) => Some(bytes),
            Self::File(_) => None,
        }
    }

    /// The file, if it is one.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Given(_) => None,
            Self::File(path) => Some(path),
        }
    }
}
