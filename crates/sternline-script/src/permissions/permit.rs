//! How functions ask whether a script may do something.

use std::path::PathBuf;

use super::{Access, Denied, Operation, resolve, resolve_parent};
use crate::session::Session;

impl Session {
    /// Whether the script may do it. Ask before anything happens, in a dry run too.
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn permit(&self, operation: &Operation) -> Result<(), Denied> {
        if self.guard().allows_all() {
            Ok(())
        } else {
            self.guard().check(operation)
        }
    }

    /// Whether the script may do something to a local file, and the absolute path to do it to. Links are followed, and where rules
    /// apply, what comes back has none: a link that is changed afterwards does not count any more. A directory or file that
    /// somebody else replaces by a link in this moment still does.
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn permit_path(
        &self,
        access: Access,
        function: &'static str,
        path: &str,
    ) -> Result<PathBuf, Denied> {
        let named = self.path(path);
        if self.guard().allows_all() {
            return Ok(named);
        }
        let resolved = resolve(&named);
        self.permit(&Operation::file(access, function, &named, &resolved))?;
        Ok(resolved)
    }

    /// As [`Session::permit_path`], for what is done to a link itself and not to what it leads to.
    ///
    /// # Errors
    /// The script may not.
    pub(crate) fn permit_entry(
        &self,
        access: Access,
        function: &'static str,
        path: &str,
    ) -> Result<PathBuf, Denied> {
        let named = self.path(path);
        if self.guard().allows_all() {
            return Ok(named);
        }
        let resolved = resolve_parent(&named);
        self.permit(&Operation::file(access, function, &named, &resolved))?;
        Ok(resolved)
    }
}
