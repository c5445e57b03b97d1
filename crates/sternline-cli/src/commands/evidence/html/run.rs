//! From a bundle to a file.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use sternline::EvidenceBundle;
use sternline::evidence::write_private;

use super::page::page;
use crate::commands::evidence::args::is_stdin as is_standard_stream;
use crate::exit;
use crate::ui::Failure;

pub(in crate::commands::evidence) fn run(
    bundle: &EvidenceBundle,
    output: &Path,
) -> Result<ExitCode, Failure> {
    let page = page(bundle);
    if is_standard_stream(output) {
        std::io::stdout()
            .write_all(page.as_bytes())
            .map_err(|error| Failure::output(&error))?;
        return Ok(ExitCode::SUCCESS);
    }
    write_private(output, page.as_bytes()).map_err(|error| Failure::from(&error).with_status(exit::USAGE))?;
    Ok(ExitCode::SUCCESS)
}
