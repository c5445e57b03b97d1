//! The variables that a script is given.

use std::path::{Path, PathBuf};

use sternline::config::Env;
use sternline::proto::text::escape;
use sternline_script::{Layer, VariableError, Variables};

use crate::ui::{Failure, Ui};

/// The file of settings, in the current directory and in `~/.starkite`.
const SETTINGS: &str = "config.yaml";

/// What the command line says counts most, then files that it names, the settings of the directory, those of the user, and
/// the environment.
pub(super) fn read(
    arguments: &[String],
    files: &[PathBuf],
    env: &Env,
    cwd: &Path,
    ui: &Ui,
) -> Result<Variables, Failure> {
    let user = env
        .home
        .as_ref()
        .map(|home| home.join(".starkite").join(SETTINGS));
    let settings = user.into_iter().chain([cwd.join(SETTINGS)]);
    let mut layers: Vec<Layer> = settings.filter_map(|file| from_settings(&file, ui)).collect();
    for file in files {
        layers.push(from_file(file)?);
    }
    for argument in arguments {
        let layer = Layer::from_argument(argument);
        layers.push(layer.map_err(|error| wrong(&error).with_hint("write --var NAME=VALUE"))?);
    }
    Ok(Variables::from_layers(&env.vars, layers))
}

/// Settings that nobody has named: if the file is not what is wanted, it may be somebody else's.
fn from_settings(file: &Path, ui: &Ui) -> Option<Layer> {
    let text = std::fs::read_to_string(file).ok()?;
    match Layer::from_settings(&file.to_string_lossy(), &text) {
        Ok(layer) => Some(layer),
        Err(error) => {
            ui.warning(&format!("no variables are taken from {error}"));
            None
        }
    }
}

fn from_file(file: &Path) -> Result<Layer, Failure> {
    let name = file.to_string_lossy();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("cannot read the variables of {}: {error}", escape(&name)))
            .with_hint("name a file with --var-file that exists and that you may read")
    })?;
    Layer::from_file(&name, &text)
        .map_err(|error| wrong(&error).with_hint("a file of variables is YAML, such as: environment: prod"))
}

fn wrong(error: &VariableError) -> Failure {
    Failure::usage(error.to_string())
}
