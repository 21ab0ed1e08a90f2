//! A package that was damaged at rest is whole again once somebody deploys it again.

mod fixture;

use fixture::{Fixture, create};
use futures_util::TryStreamExt;
use hearth_chunk_store::Owner;
use hearth_services::control::Control;
use hearth_types::FunctionVersion;
use std::path::{Path, PathBuf};

/// Ways in which a copy at rest can be bad.
const SPOIL: [fn(&Path); 2] = [
    |path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        std::fs::write(path, bytes).unwrap();
    },
    |path| std::fs::remove_file(path).unwrap(),
];

fn objects(f: &Fixture, kind: &str) -> Vec<PathBuf> {
    let is_of_kind = |path: &PathBuf| path.components().any(|part| part.as_os_str() == kind);
    f.objects().into_iter().filter(is_of_kind).collect()
}

async fn deploy(f: &Fixture, name: &str) -> FunctionVersion {
    f.control.create_function(&f.account, create(name, "the same")).await.unwrap()
}

/// As starts do; whether it can be read.
async fn reads(f: &Fixture, version: &FunctionVersion) -> bool {
    let owner = Owner::Unknown(version.key.account.clone());
    for id in [&version.code.zip_file, &version.code.image_file] {
        let Ok(file) = f.chunks.open(&owner, &id.parse().unwrap()).await else { return false };
        if file.stream().try_collect::<Vec<_>>().await.is_err() {
            return false;
        }
    }
    f.has_code_of(version).await
}

#[tokio::test]
async fn any_damaged_object_of_a_package_is_put_back() {
    let f = Fixture::new();
    let first = deploy(&f, "first").await;
    let all = [objects(&f, "chunks"), objects(&f, "manifests")].concat();
    assert!(all.len() >= 4, "{all:?}");
    for (number, path) in all.iter().enumerate() {
        for (way, spoil) in SPOIL.iter().enumerate() {
            let good = std::fs::read(path).unwrap();
            spoil(path);
            assert!(!reads(&f, &first).await, "{} was spoilt", path.display());
            let again = deploy(&f, &format!("again-{number}-{way}")).await;
            assert!(reads(&f, &again).await && reads(&f, &first).await, "{}", path.display());
            assert_eq!(again.code, first.code);
            assert!(std::fs::read(path).unwrap() == good);
            assert!(objects(&f, "suspects").is_empty());
            assert_eq!(f.work_files(), 0);
        }
    }
}

#[tokio::test]
async fn under_another_salt_chunks_are_put_back_and_a_lost_manifest_is_replaced() {
    let f = Fixture::new();
    let first = deploy(&f, "first").await;
    f.chunks.keyring().rotate_salt().await.unwrap();
    for (number, path) in objects(&f, "chunks").iter().enumerate() {
        SPOIL[0](path);
        assert!(!reads(&f, &first).await, "{} was spoilt", path.display());
        let again = deploy(&f, &format!("again-{number}")).await;
        assert!(reads(&f, &again).await && reads(&f, &first).await, "{}", path.display());
        assert_eq!(again.code, first.code);
    }
    for path in objects(&f, "manifests") {
        SPOIL[1](&path);
    }
    assert!(!reads(&f, &first).await);
    let again = deploy(&f, "anew").await;
    assert!(reads(&f, &again).await);
    assert_ne!(again.code.image_file, first.code.image_file);
    let [location] = &f.packages().await.into_values().collect::<Vec<_>>()[..] else {
        panic!("one package")
    };
    assert_eq!(*location, again.code);
}
