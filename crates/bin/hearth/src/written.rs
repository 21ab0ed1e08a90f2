//! Pages of documentation that are written by the program's own tests, so that
//! they cannot say anything else than the code: a stale one fails its test, and
//! `HEARTH_WRITE_DOCS=1 cargo test -p hearth page` writes it anew.

use std::path::Path;

/// Compares a page in the repository with what it should say, or writes it.
pub(crate) fn check_page(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path);
    if std::env::var_os("HEARTH_WRITE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{path} is stale: write it anew with HEARTH_WRITE_DOCS=1 cargo test -p hearth page"
    );
}
