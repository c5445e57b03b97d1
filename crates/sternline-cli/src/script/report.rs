//! How the error of a script is shown.

use sternline_script::ScriptError;

use crate::ui::Ui;

/// Shows why a script ended early, and where.
pub(crate) fn report(error: &ScriptError, ui: &Ui) {
    ui.said(error.render(ui.has_colours()).trim_end());
}
