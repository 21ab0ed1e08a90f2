//! The image against the format's own tools: what `fsck.erofs` accepts and
//! extracts is what went into the zip.

mod zips;

use hearth_code_package::{NODES_MAX, Package};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use zips::{Entry, zip};

/// Extracts `image` with erofs-utils.
fn extract(image: &Path, to: &Path) {
    let output = Command::new("fsck.erofs")
        .arg(format!("--extract={}", to.display()))
        .arg(image)
        .output()
        .expect("fsck.erofs runs (package erofs-utils)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Every path below `root` with type, mode and content.
fn listing(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.permissions().mode() & 0o777;
            if meta.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                found.insert(name, format!("link {}", target.display()));
            } else if meta.is_dir() {
                found.insert(name, format!("dir {mode:o}"));
                walk(root, &path, found);
            } else {
                let content = std::fs::read(&path).unwrap();
                found.insert(name, format!("file {mode:o} {}", String::from_utf8_lossy(&content)));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn round_trip(entries: &[Entry]) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let built = Package::build_image(&zip(entries), &image).unwrap();
    assert_eq!(std::fs::metadata(&image).unwrap().len(), built.image_bytes);
    let out = dir.path().join("out");
    extract(&image, &out);
    listing(&out)
}

#[test]
fn contents_modes_and_links_survive() {
    let found = round_trip(&[
        Entry::file("app.py", "def handler(): pass"),
        Entry::file("bootstrap", "#!/bin/sh").mode(0o100755),
        Entry::file("-sorts-before-dot", "x"),
        Entry::file("lib/deep/er/x.txt", ""),
        Entry::directory("private/").mode(0o040700),
        Entry::link("lib/app", "../app.py"),
        Entry::file("windows.txt", "no mode").mode(0),
        Entry::file("setuid", "s").mode(0o104755),
    ]);
    let expected = [
        ("-sorts-before-dot", "file 644 x"),
        ("app.py", "file 644 def handler(): pass"),
        ("bootstrap", "file 755 #!/bin/sh"),
        ("lib", "dir 755"),
        ("lib/app", "link ../app.py"),
        ("lib/deep", "dir 755"),
        ("lib/deep/er", "dir 755"),
        ("lib/deep/er/x.txt", "file 644 "),
        ("private", "dir 700"),
        ("setuid", "file 755 s"),
        ("windows.txt", "file 644 no mode"),
    ];
    let expected: BTreeMap<_, _> =
        expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
    assert_eq!(found, expected);
}

#[test]
fn large_directories_and_files_survive() {
    let mut entries: Vec<Entry> =
        (0..3000).map(|i| Entry::file(&format!("d/{i}-{}", "n".repeat(i % 200)), "c")).collect();
    let big = "0123456789abcdef".repeat(64 * 1024);
    entries.push(Entry::file("big", &big));
    let found = round_trip(&entries);
    assert_eq!(found.len(), entries.len() + 1);
    assert_eq!(found["big"], format!("file 644 {big}"));
}

#[test]
fn equal_zips_make_equal_images_and_order_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [Entry::file("b", "2"), Entry::file("a/c", "1"), Entry::link("l", "b")];
    let mut reversed = entries.clone();
    reversed.reverse();
    let mut images = Vec::new();
    for (i, entries) in [&entries, &entries, &reversed].into_iter().enumerate() {
        let image = dir.path().join(i.to_string());
        Package::build_image(&zip(entries), &image).unwrap();
        images.push(std::fs::read(image).unwrap());
    }
    assert!(images.iter().all(|image| *image == images[0]));
}

/// Walked, not extracted: that takes minutes for so many directories.
#[test]
fn the_largest_directory_is_well_formed() {
    let entries: Vec<Entry> = (1..NODES_MAX).map(|i| Entry::directory(&format!("{i}/"))).collect();
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    Package::build_image(&zip(&entries), &image).unwrap();
    let output = Command::new("fsck.erofs").arg(&image).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let shown =
        Command::new("dump.erofs").arg("--ls").arg("--path=/").arg(&image).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let found = shown.lines().filter(|line| line.split_whitespace().count() == 3).count();
    assert!(found >= NODES_MAX - 1, "{found} of {NODES_MAX}");
}
