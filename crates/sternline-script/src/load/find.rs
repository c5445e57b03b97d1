//! Where the file is that `load` means.

use std::path::{Path, PathBuf};

use crate::session::Session;

/// The end of a script's name.
const SUFFIX: &str = ".star";
/// A folder that is a module begins with this file, or with one that has the folder's name.
const MAIN: &str = "main.star";
/// A folder for modules, beside a script.
const MODULES: &str = "modules";
/// Lists of folders, as scripts of the other program know them, and as ours do.
const VARIABLES: [&str; 2] = ["STERNLINE_MODULE_PATH", "STARKITE_MODULE_PATH"];
/// In the home directory.
const AT_HOME: [&str; 2] = [".sternline/modules", ".starkite/modules"];

/// Where to look.
pub(super) struct Places<'s> {
    pub(super) session: &'s Session,
    /// That of the file which loads something, then that of the script.
    pub(super) folders: Vec<PathBuf>,
}

/// A file, or the files of a folder.
pub(super) struct Found {
    /// As a module: the name of the file without its end, or of the folder.
    pub(super) name: String,
    /// Without links, the one that comes first in front.
    pub(super) files: Vec<PathBuf>,
}

/// Finds it.
///
/// # Errors
/// Where it was looked for.
pub(super) fn find(name: &str, places: &Places<'_>) -> Result<Found, Vec<PathBuf>> {
    let mut looked = Vec::new();
    for folder in folders(name, places) {
        let path = match name.strip_prefix("~/") {
            Some(_) => places.session.path(name),
            None => folder.join(name),
        };
        match at(&path) {
            Some(found) => return Ok(found),
            None if looked.contains(&path) => {}
            None => looked.push(path),
        }
    }
    Err(looked)
}

/// Where a name may be: a path only beside the files, a plain name in the folders for modules too.
fn folders(name: &str, places: &Places<'_>) -> Vec<PathBuf> {
    let session = places.session;
    let cwd = session.cwd();
    let mut folders = places.folders.clone();
    folders.push(cwd.clone());
    let is_path = name.contains('/') || name.starts_with('.');
    if !is_path {
        let beside: Vec<PathBuf> = folders.iter().map(|folder| folder.join(MODULES)).collect();
        folders.extend(beside);
        let vars = session.vars();
        for list in VARIABLES.iter().filter_map(|variable| vars.get(*variable)) {
            folders.extend(
                list.split(':')
                    .filter(|folder| !folder.is_empty())
                    .map(|folder| cwd.join(folder)),
            );
        }
        if let Some(home) = &session.env().home {
            folders.extend(AT_HOME.map(|folder| home.join(folder)));
        }
    }
    folders
}

/// What is there: the file itself, or with the end of a script's name, or a folder that is a module.
fn at(path: &Path) -> Option<Found> {
    if path.is_file() {
        return one(path);
    }
    let mut with_suffix = path.as_os_str().to_owned();
    with_suffix.push(SUFFIX);
    let with_suffix = PathBuf::from(with_suffix);
    if with_suffix.is_file() {
        return one(&with_suffix);
    }
    path.is_dir().then(|| folder(path)).flatten()
}

fn one(path: &Path) -> Option<Found> {
    let name = path.file_name()?.to_string_lossy();
    let name = name.strip_suffix(SUFFIX).unwrap_or(&name).to_owned();
    Some(Found {
        name,
        files: vec![std::fs::canonicalize(path).ok()?],
    })
}

/// A folder with a file that it begins with. Its other files belong to it, but for those with tests.
fn folder(path: &Path) -> Option<Found> {
    let path = std::fs::canonicalize(path).ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    let own = path.join(format!("{name}{SUFFIX}"));
    let main = [path.join(MAIN), own].into_iter().find(|file| file.is_file())?;
    let mut others: Vec<PathBuf> = std::fs::read_dir(&path)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.is_file() && *file != main)
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(SUFFIX) && !name.ends_with("_test.star")
        })
        .collect();
    others.sort();
    let files = [main]
        .into_iter()
        .chain(others)
        .map(|file| std::fs::canonicalize(&file).unwrap_or(file));
    Some(Found {
        name,
        files: files.collect(),
    })
}
