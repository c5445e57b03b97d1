//! docs/reference/starlark.md describes what scripts have, as the code does.

#![allow(clippy::expect_used, reason = "what helps a test may fail as a test does")]

use std::path::Path;

#[test]
fn the_reference_is_what_the_code_says() {
    let page = sternline_script::reference();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/starlark.md");
    if std::env::var_os("STERNLINE_WRITE").is_some() {
        std::fs::write(&path, &page).expect("the page");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "write it anew: STERNLINE_WRITE=1 cargo test -p sternline-script --test reference"
    );
}
