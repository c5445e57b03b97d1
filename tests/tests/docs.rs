//! The documents name files, folders and commands: what they name exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The project's own Markdown files, wherever they stand.
fn documents(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            if path.is_dir() && !hidden && name != "target" && name != "corpus" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The targets of a Markdown text's links: `[text](target)`, and what stands after `#` cut off.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// The words in backticks that name a file or folder of the repository by its path from the root.
fn named_paths(text: &str) -> Vec<&str> {
    const FOLDERS: [&str; 8] = [
        "crates/",
        "tests/",
        "benches/",
        "fuzz/",
        "scripts/",
        "docs/",
        "examples/",
        ".ci/",
    ];
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split("::").next())
        .filter(|code| FOLDERS.iter().any(|folder| code.starts_with(folder)))
        .filter_map(|code| code.split_whitespace().next())
        .collect()
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut broken = Vec::new();
    for document in documents(&root) {
        let text = fs::read_to_string(&document).expect("a readable document");
        for target in links(&text) {
            if !document.with_file_name(target).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_path_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut missing = Vec::new();
    for document in documents(&root) {
        let text = fs::read_to_string(&document).expect("a readable document");
        for path in named_paths(&text) {
            // What fuzzing writes is not in the repository.
            if !path.starts_with("fuzz/artifacts") && !root.join(path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "paths that do not exist:\n{}",
        missing.join("\n")
    );
}

/// The paths that the drawing of the tree in a Markdown text shows: entries of the root, of `crates/`, and of a crate's
/// `src/`, by their indentation.
fn drawn_paths(text: &str) -> BTreeSet<String> {
    let drawing = text.split("```").nth(1).unwrap_or_default();
    let mut paths = BTreeSet::new();
    let mut member = String::new();
    for line in drawing.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        // The names stand first; two blanks end them.
        let names = line.trim_start().split("  ").next().unwrap_or_default();
        for name in names.split_whitespace().map(|name| name.trim_end_matches('/')) {
            match indent {
                0 => paths.insert(name.to_owned()),
                2 => {
                    member = format!("crates/{name}/src");
                    paths.insert(format!("crates/{name}"))
                }
                _ => paths.insert(format!("{member}/{name}")),
            };
        }
    }
    paths
}

#[test]
fn the_architecture_draws_the_tree_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let drawn = drawn_paths(&text);
    let missing: Vec<_> = drawn.iter().filter(|path| !root.join(path).exists()).collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md draws what does not exist: {missing:?}"
    );

    for folder in ["crates", "crates/sternline-proto/src", "crates/sternline/src"] {
        for entry in fs::read_dir(root.join(folder)).expect("a folder of the tree") {
            let name = entry.expect("an entry").file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            assert!(
                name == "lib.rs" || drawn.contains(&path),
                "ARCHITECTURE.md does not draw {path}"
            );
        }
    }
}

#[test]
fn links_paths_and_drawings_are_found_in_a_text() {
    let text = "See [this](docs/a.md#part), [that](https://example.com) and [here](#top): `scripts/test --long`, `tests/tests/a.rs::name`, `cargo`.";
    assert_eq!(links(text), ["docs/a.md"]);
    assert_eq!(named_paths(text), ["scripts/test", "tests/tests/a.rs"]);

    let drawing = "```\nscripts/test  runs\ncrates/\n  one/  a crate\n    a.rs b/    two modules\n```";
    let drawn: Vec<_> = drawn_paths(drawing).into_iter().collect();
    assert_eq!(
        drawn,
        [
            "crates",
            "crates/one",
            "crates/one/src/a.rs",
            "crates/one/src/b",
            "scripts/test"
        ]
    );
}
