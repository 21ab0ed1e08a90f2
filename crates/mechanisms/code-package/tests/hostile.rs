//! Packages that try something: each is refused, in AWS's words, in bounded
//! time and memory, and leaves nothing.

mod zips;

use hearth_code_package::{DEPTH_MAX, NAME_BYTES_MAX, NODES_MAX, Package, PackageError, Refusal};
use hearth_types::{CODE_UNZIPPED_BYTES_MAX, CODE_ZIP_BYTES_MAX};
use proptest::prelude::*;
use zips::{Entry, zip};

const COULD_NOT_UNZIP: &str =
    "Could not unzip uploaded file. Please check your file, then try to upload again.";

/// Refuses `bytes` both ways, without a trace.
fn refused(bytes: &[u8]) -> PackageError {
    let dir = tempfile::tempdir().unwrap();
    let built = Package::build_image(bytes, &dir.path().join("image"));
    let checked = Package::check(bytes).expect_err("this package is bad");
    assert_eq!(built.expect_err("this package is bad").to_string(), checked.to_string());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something was left");
    assert!(checked.is_users());
    checked
}

/// Refuses `entries`; why.
fn refusal(entries: &[Entry]) -> Refusal {
    let error = refused(&zip(entries));
    assert_eq!(error.to_string(), COULD_NOT_UNZIP);
    match error {
        PackageError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_that_leave_the_package() {
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let deep = format!("{}f", "d/".repeat(DEPTH_MAX));
    let paths = [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        "..",
        "..\\x",
        "a\\..\\x",
        "C:\\x",
        "a\0b",
        &*long,
        &*deep,
    ];
    for path in paths {
        let refusal = refusal(&[Entry::file("fine", "1"), Entry::file(path, "1")]);
        assert!(matches!(refusal, Refusal::IllegalPath(_)), "{path:?}: {refusal:?}");
    }
}

#[test]
fn links_that_leave_the_package_or_are_walked_through() {
    let absolute = Entry::link("l", "/etc/passwd");
    let up = Entry::link("d/l", "../../x");
    let zigzag = Entry::link("d/l", "a/../../../x");
    let huge = Entry::link("l", &"x".repeat(10_000));
    for link in [absolute, up, zigzag, huge, Entry::link("l", "")] {
        assert!(matches!(refusal(&[link]), Refusal::EscapingLink(_)));
    }
    let through = [Entry::link("d", "e"), Entry::file("d/f", "1"), Entry::file("e/f", "2")];
    assert!(matches!(refusal(&through), Refusal::Duplicate(_)));
}

#[test]
fn things_that_are_no_files() {
    for kind in [0o020_000, 0o060_000, 0o010_000, 0o140_000] {
        let refusal = refusal(&[Entry::file("dev", "").mode(kind | 0o666)]);
        assert!(matches!(refusal, Refusal::SpecialFile(_)), "{refusal:?}");
    }
}

#[test]
fn paths_with_two_owners() {
    let cases = [
        [Entry::file("a", "1"), Entry::file("./a", "2")],
        [Entry::file("a", "1"), Entry::file("a/b", "2")],
        [Entry::file("a/b", "1"), Entry::file("a", "2")],
        [Entry::file("a//b", "1"), Entry::file("a/b", "2")],
        [Entry::link("a", "b"), Entry::file("./a", "2")],
    ];
    for entries in cases {
        assert!(matches!(refusal(&entries), Refusal::Duplicate(_)));
    }
    // The writer refuses equal names, so one is patched in.
    let mut bytes = zip(&[Entry::file("aa", "1"), Entry::file("ab", "2")]);
    for at in 0..bytes.len() - 1 {
        if bytes[at..at + 2] == *b"ab" {
            bytes[at + 1] = b'a';
        }
    }
    assert_eq!(refused(&bytes).to_string(), COULD_NOT_UNZIP);
}

#[test]
fn encrypted_entries() {
    let mut bytes = zip(&[Entry::file("secret", "1")]);
    let central = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes[6] |= 1; // local header's flags
    bytes[central + 8] |= 1;
    let error = refused(&bytes);
    assert!(matches!(error, PackageError::Refused(Refusal::Encrypted(_))), "{error:?}");
}

#[test]
fn a_bomb_is_stopped_by_what_comes_out() {
    let part = vec![0u8; CODE_UNZIPPED_BYTES_MAX as usize / 2];
    let half = Entry::file("half", &part);
    let other_half = Entry::file("other", &part);
    let one_more = Entry::file("one-more", "1");
    let mut bomb = zip(&[half, other_half, one_more]);
    assert!(bomb.len() < 1024 * 1024);
    let words = "Unzipped size must be smaller than 262144000 bytes";
    assert_eq!(refused(&bomb).to_string(), words);
    // A bomb that claims to be small: its sizes are zero in every header.
    let mut at = 0;
    while let Some(found) = bomb[at..].windows(4).position(|w| w == b"PK\x01\x02") {
        at += found;
        bomb[at + 24..at + 28].fill(0);
        at += 4;
    }
    let error = refused(&bomb);
    assert!(matches!(error, PackageError::UnzippedTooLarge | PackageError::Refused(_)));
}

#[test]
fn overlapping_entries_multiply_nothing() {
    let mut bytes = zip(&[Entry::file("a", "1".repeat(1000)), Entry::file("b", "22")]);
    let heads: Vec<usize> =
        (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == *b"PK\x01\x02").collect();
    // Both central headers point to the first local header.
    bytes.copy_within(heads[0] + 42..heads[0] + 46, heads[1] + 42);
    let error = refused(&bytes);
    assert!(matches!(error, PackageError::Refused(Refusal::Overlapping)), "{error:?}");
}

#[test]
fn too_many_nodes() {
    let entries: Vec<Entry> = (0..NODES_MAX).map(|i| Entry::file(&i.to_string(), "")).collect();
    assert!(matches!(refusal(&entries), Refusal::TooManyEntries));
    // Claimed headers are counted before anything is parsed.
    let headers = b"PK\x01\x02".repeat(200_001);
    assert!(matches!(refused(&headers), PackageError::Refused(Refusal::TooManyEntries)));
}

#[test]
fn things_that_are_no_zips() {
    assert_eq!(refused(b"").to_string(), "Uploaded file must be a non-empty zip");
    assert_eq!(refused(&zip(&[])).to_string(), "Uploaded file must be a non-empty zip");
    for bytes in [&b"hello"[..], &[0; 1000], b"PK\x05\x06", b"PK\x03\x04"] {
        assert_eq!(refused(bytes).to_string(), COULD_NOT_UNZIP);
    }
    let large = vec![0; CODE_ZIP_BYTES_MAX + 1];
    assert_eq!(refused(&large).to_string(), "Zipped size must be smaller than 52428800 bytes");
}

#[test]
fn a_damaged_content_is_found() {
    let content: String = (0..10_000).map(|i| format!("{i} ")).collect();
    let good = zip(&[Entry::file("f", content)]);
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    Package::check(&good).unwrap();
    assert_eq!(refused(&damaged).to_string(), COULD_NOT_UNZIP);
}

fn sample() -> Vec<u8> {
    zip(&[
        Entry::file("app.py", "def handler(event, context): return event".repeat(20)),
        Entry::directory("lib/"),
        Entry::file("lib/a.txt", "").mode(0),
        Entry::link("lib/app", "../app.py"),
        Entry::file("bootstrap", "#!/bin/sh").mode(0o100755),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// Whatever is done to a zip, judging it ends, and both ways of judging
    /// agree; what is accepted makes a well-formed image.
    #[test]
    fn mutated_zips_are_judged(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        splice in proptest::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let mut bytes = sample();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((from, to)) = splice {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(from..from, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        match (Package::check(&bytes), Package::build_image(&bytes, &image)) {
            (Ok(checked), Ok(built)) => {
                prop_assert_eq!(checked.unzipped_bytes, built.unzipped_bytes);
                let written = std::fs::read(&image).unwrap();
                prop_assert_eq!(written.len() as u64, built.image_bytes);
                prop_assert_eq!(&written[1024..1028], &0xe0f5_e1e2_u32.to_le_bytes());
            }
            (Err(checked), Err(built)) => {
                prop_assert_eq!(checked.to_string(), built.to_string());
                prop_assert!(!image.exists());
            }
            (checked, built) => prop_assert!(false, "{checked:?} but {built:?}"),
        }
    }

    #[test]
    fn any_path_is_accepted_or_refused(path in "\\PC{0,20}(/|\\.\\.|\\\\|\\PC){0,10}") {
        let bytes = zip(&[Entry::file(&path, "1")]);
        if Package::check(&bytes).is_ok() {
            prop_assert!(!path.starts_with('/') && !path.contains('\\'));
            prop_assert!(path.split('/').all(|component| component != ".."));
        }
    }
}
