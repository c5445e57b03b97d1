//! Inventories as they lie on the disk: files, directories of them, and the variables beside them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sternline_proto::inventory::{Inventory, InventoryError, VarsFile};
use sternline_proto::text::escape;
use thiserror::Error;

use super::platform;

/// The largest file that is read. Ten thousand hosts take a few MiB.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// How deep directories may be nested.
const MAX_DEPTH: usize = 16;

/// What Ansible passes over in a directory of inventories.
const PASSED_OVER: [&str; 12] = [
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
];

/// The extensions that a file of variables may have; without one is looked for first.
const VARS_EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// An inventory that cannot be used.
#[derive(Debug, Error)]
pub struct InventoryFileError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub problem: InventoryFileProblem,
}

impl fmt::Display for InventoryFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            // It names the file itself, with the line.
            InventoryFileProblem::Content(error) => error.fmt(f),
            problem => write!(
                f,
                "cannot use the inventory {}: {problem}",
                escape(&self.path.to_string_lossy())
            ),
        }
    }
}

/// Why an inventory cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InventoryFileProblem {
    /// It cannot be read, or is not UTF-8.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is a program.
    #[error("it is a program, and none is run")]
    Program,
    /// Somebody else could have written it, and with it decided which commands are run to reach a host.
    #[error("{0}")]
    Writable(String),
    /// It is too large, or too deeply nested.
    #[error("it is larger than an inventory may be")]
    TooLarge,
    /// A directory without inventories.
    #[error("no inventory is in this directory")]
    Empty,
    /// What it says is wrong.
    #[error("{0}")]
    Content(#[from] InventoryError),
}

impl InventoryFileProblem {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "name a file or directory that exists and that you may read with -I",
            Self::Program => {
                "save what it prints in a file, as by `ansible-inventory -i PROGRAM --list --yaml > FILE`; a file that is no program \
                 must not be executable: chmod -x FILE"
            }
            Self::Writable(_) => {
                "make it yours alone, as with `chmod go-w`: an inventory says which commands are run to reach a host"
            }
            Self::TooLarge => "split it into several files, or check what it is",
            Self::Empty => {
                "name the inventory itself; files with extensions such as .md, .txt and .cfg are passed over"
            }
            Self::Content(_) => "correct that line",
        }
    }
}

/// Reads inventories, in the order in which they count: of two values the later one wins. A directory stands for all files in
/// it, as with Ansible; `group_vars` and `host_vars` beside each of them are read as well. Blocks.
///
/// # Errors
/// The first file that cannot be used.
pub fn read_inventory(paths: &[PathBuf]) -> Result<Inventory, InventoryFileError> {
    let mut inventory = Inventory::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(|error| at(path, error))?;
        if metadata.is_dir() {
            let mut count = 0;
            read_directory(&mut inventory, path, MAX_DEPTH, &mut count)?;
            if count == 0 {
                return Err(at(path, InventoryFileProblem::Empty));
            }
        } else {
            read_file(&mut inventory, path)?;
        }
    }
    for (source, path) in paths.iter().enumerate() {
        let folder = match path.is_dir() {
            true => path.as_path(),
            false => path.parent().unwrap_or(Path::new("")),
        };
        read_adjacent(&mut inventory, folder, source)?;
    }
    let finished = inventory.finish();
    let path = paths.first().cloned().unwrap_or_default();
    finished.map_err(|error| at(&path, error))?;
    Ok(inventory)
}

fn at(path: &Path, problem: impl Into<InventoryFileProblem>) -> InventoryFileError {
    InventoryFileError {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// All inventories in a directory and those below it, by their names.
fn read_directory(
    inventory: &mut Inventory,
    folder: &Path,
    depth: usize,
    count: &mut usize,
) -> Result<(), InventoryFileError> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_passed_over = name.starts_with('.')
            || matches!(&*name, "group_vars" | "host_vars" | "vars_plugins")
            || PASSED_OVER.iter().any(|end| name.ends_with(end));
        if is_passed_over {
            continue;
        }
        if path.is_dir() {
            let depth = depth
                .checked_sub(1)
                .ok_or_else(|| at(&path, InventoryFileProblem::TooLarge))?;
            read_directory(inventory, &path, depth, count)?;
        } else {
            read_file(inventory, &path)?;
            *count += 1;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, InventoryFileError> {
    let read = || {
        std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()
    };
    let mut paths = read().map_err(|error| at(folder, error))?;
    paths.sort();
    Ok(paths)
}

fn read_file(inventory: &mut Inventory, path: &Path) -> Result<(), InventoryFileError> {
    let is_program =
        |metadata: &Metadata, text: &str| platform::may_be_executed(metadata) || text.starts_with("#!");
    let text = read_text(path, is_program)?;
    inventory
        .add(&path.to_string_lossy(), &text)
        .map_err(|error| at(path, error))
}

fn read_text(
    path: &Path,
    is_program: impl Fn(&Metadata, &str) -> bool,
) -> Result<String, InventoryFileError> {
    let mut file = std::fs::File::open(path).map_err(|error| at(path, error))?;
    let metadata = file.metadata().map_err(|error| at(path, error))?;
    if let Some(who) = platform::others_may_write(&metadata).filter(|_| metadata.is_file()) {
        return Err(at(path, InventoryFileProblem::Writable(who)));
    }
    let mut text = String::new();
    let read = file.by_ref().take(MAX_SIZE + 1).read_to_string(&mut text);
    if read.map_err(|error| at(path, error))? as u64 > MAX_SIZE {
        return Err(at(path, InventoryFileProblem::TooLarge));
    }
    // A pipe, as from a shell's <(...), has been written by whoever named it.
    if metadata.is_file() && is_program(&metadata, &text) {
        return Err(at(path, InventoryFileProblem::Program));
    }
    Ok(text)
}

/// Reads `group_vars` and `host_vars`. Each is listed once, however many hosts there are.
fn read_adjacent(inventory: &mut Inventory, folder: &Path, source: usize) -> Result<(), InventoryFileError> {
    let groups = listing(&folder.join("group_vars"))?;
    let hosts = listing(&folder.join("host_vars"))?;
    // Most inventories have neither, and a name is looked up for each host.
    for group in inventory.groups().filter(|_| !groups.is_empty()) {
        let files = vars_files(&groups, inventory.group_name(group))?;
        read_vars(&files, source, |file| inventory.add_group_vars(group, file))?;
    }
    for host in inventory.hosts().filter(|_| !hosts.is_empty()) {
        let files = vars_files(&hosts, inventory.host_name(host))?;
        read_vars(&files, source, |file| inventory.add_host_vars(host, file))?;
    }
    Ok(())
}

fn read_vars(
    files: &[PathBuf],
    source: usize,
    mut add: impl FnMut(VarsFile<'_>) -> Result<(), InventoryError>,
) -> Result<(), InventoryFileError> {
    for path in files {
        let text = read_text(path, |_, _| false)?;
        let file = VarsFile {
            path: &path.to_string_lossy(),
            text: &text,
            source,
        };
        add(file).map_err(|error| at(path, error))?;
    }
    Ok(())
}

/// What is in a directory, by name; nothing, if it is not there.
fn listing(folder: &Path) -> Result<HashMap<String, PathBuf>, InventoryFileError> {
    if !folder.is_dir() {
        return Ok(HashMap::new());
    }
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), path));
    Ok(entries(folder)?.into_iter().filter_map(named).collect())
}

/// The files of variables for a name: those of the first entry that has it, with an extension or without.
fn vars_files(listing: &HashMap<String, PathBuf>, name: &str) -> Result<Vec<PathBuf>, InventoryFileError> {
    let mut found = Vec::new();
    let entry = VARS_EXTENSIONS
        .iter()
        .find_map(|extension| listing.get(&format!("{name}{extension}")));
    match entry {
        None => {}
        Some(path) if path.is_dir() => vars_in(path, MAX_DEPTH, &mut found)?,
        Some(path) => found.push(path.clone()),
    }
    Ok(found)
}

fn vars_in(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), InventoryFileError> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let extension = path.extension().and_then(OsStr::to_str);
        match extension {
            None if path.is_dir() => {
                let depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| at(&path, InventoryFileProblem::TooLarge))?;
                vars_in(&path, depth, found)?;
            }
            None | Some("yml" | "yaml" | "json") if path.is_file() => found.push(path),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn read(path: &Path) -> Result<Inventory, String> {
        read_inventory(&[path.to_owned()]).map_err(|error| error.to_string())
    }

    fn var(inventory: &Inventory, host: &str, name: &str) -> String {
        let host = inventory.host(host).unwrap();
        inventory.var(host, name).unwrap().value.to_string()
    }

    #[test]
    fn a_directory_stands_for_the_files_in_it_and_variables_lie_beside_them() {
        let folder = folder(&[
            ("10-web", "[web]\nweb-1\n[web:vars]\nx=1\n"),
            ("20-db.yml", "db: {hosts: {db-1: }}\n"),
            ("sub/more.ini", "[more]\nmore-1\n"),
            ("README.md", "no inventory\n"),
            (".hidden", "hidden\n"),
            ("group_vars/all.yml", "where: all\n"),
            ("group_vars/web/a.yml", "where: a\nb: a\n"),
            ("group_vars/web/b.yml", "where: b\n"),
            ("group_vars/web/deep/c", "c: c\n"),
            ("group_vars/web/d.txt", "where: txt\n"),
            ("host_vars/db-1.json", "{\"where\": \"host\"}"),
        ]);
        let inventory = read(folder.path()).unwrap();
        let names: Vec<&str> = inventory.hosts().map(|host| inventory.host_name(host)).collect();
        assert_eq!(names, ["web-1", "db-1", "more-1"]);
        for (host, name, value) in [
            ("web-1", "where", "\"b\""),
            ("web-1", "b", "\"a\""),
            ("web-1", "c", "\"c\""),
            ("web-1", "x", "1"),
            ("db-1", "where", "\"host\""),
            ("more-1", "where", "\"all\""),
        ] {
            assert_eq!(var(&inventory, host, name), value, "{host} {name}");
        }
    }

    #[test]
    fn of_several_inventories_the_last_one_counts() {
        let folder = folder(&[("a.ini", "[web]\nh x=1 y=1\n"), ("b.ini", "[web]\nh x=2\n")]);
        let paths = ["a.ini", "b.ini"].map(|name| folder.path().join(name));
        let inventory = read_inventory(&paths).unwrap();
        assert_eq!(
            (var(&inventory, "h", "x"), var(&inventory, "h", "y")),
            ("2".to_owned(), "1".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_used_is_named_with_the_reason() {
        let folder = folder(&[
            ("bad.ini", "a b\n"),
            ("script", "#!/bin/sh\n"),
            ("empty/x.md", ""),
        ]);
        for (name, words) in [
            ("missing", "cannot use the inventory "),
            ("script", "it is a program, and none is run"),
            ("empty", "no inventory is in this directory"),
            ("bad.ini", "bad.ini:1: b sets no variable"),
        ] {
            let error = read(&folder.path().join(name)).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_program_and_a_file_that_others_may_write_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder(&[("hosts", "a\n"), ("group_vars/all", "x: 1\n")]);
        let (hosts, vars) = (folder.path().join("hosts"), folder.path().join("group_vars/all"));
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
        };
        set(&hosts, 0o755);
        assert!(read(&hosts).unwrap_err().contains("it is a program"));
        set(&hosts, 0o646);
        assert!(read(&hosts).unwrap_err().contains("anybody may write to it"));
        set(&hosts, 0o644);
        read(&hosts).unwrap();
        set(&vars, 0o666);
        assert!(read(&hosts).unwrap_err().contains("group_vars/all"));
    }
}
