//! Sealed manifests come back whole, and nothing else does.

use super::*;
use crate::builder::ManifestBuilder;
use crate::chunk::{ChunkRef, seal_chunk};
use crate::keys::{OwnerKey, SaltGeneration};
use crate::layout::{CHUNK_PAGES, PAGE_BYTES};
use crate::manifest::{Extent, Origin};
use proptest::prelude::*;

fn owner() -> Owner {
    "account/000000000001".parse().unwrap()
}

fn key(byte: u8) -> ManifestKey {
    OwnerKey::from_bytes([byte; 32]).manifest_key()
}

fn chunk(byte: u8, pages: usize) -> ChunkRef {
    seal_chunk(&OwnerKey::from_bytes([9; 32]).chunk_secret(), vec![byte; pages * PAGE_BYTES]).0
}

fn small() -> Manifest {
    let mut builder =
        ManifestBuilder::new(Kind::File, 40_000, Some(SaltGeneration::FIRST)).unwrap();
    let own = builder.chunk(&chunk(1, 4), Origin::Own);
    let shared = builder.chunk(&chunk(2, 8), Origin::Shared);
    builder.place(Extent { page: 6, chunk: shared, at: 1, pages: 2 });
    builder.place(Extent { page: 1, chunk: own, at: 0, pages: 2 });
    builder.place(Extent { page: 3, chunk: own, at: 2, pages: 1 });
    builder.finish().unwrap()
}

#[test]
fn a_manifest_comes_back_and_has_one_id() {
    let manifest = small();
    assert_eq!(manifest.extents().len(), 2, "neighbours are joined");
    assert_eq!(manifest.extent_of(3).unwrap().page, 1);
    assert_eq!(manifest.extent_of(5), None);
    let (id, sealed) = seal_manifest(&owner(), &key(1), &manifest).unwrap();
    assert_eq!(seal_manifest(&owner(), &key(1), &manifest).unwrap().0, id);
    assert_eq!(open_manifest(&id, &owner(), &key(1), &sealed).unwrap(), manifest);
    assert_eq!(manifest_owner(&id, &sealed).unwrap(), owner());
}

#[test]
fn it_is_refused_to_others() {
    let (id, sealed) = seal_manifest(&owner(), &key(1), &small()).unwrap();
    let other: Owner = "account/000000000002".parse().unwrap();
    let refused = open_manifest(&id, &other, &key(1), &sealed).unwrap_err();
    assert_eq!(refused, ManifestError::OtherOwner { wanted: other.clone(), found: owner() });
    let refused = open_manifest(&id, &owner(), &key(2), &sealed).unwrap_err();
    assert_eq!(refused, ManifestError::WrongKey(owner()));

    // The owner's name in clear, or the kind, exchanged: it no longer opens.
    for (at, to) in [(OWNER_AT + 19, b'2'), (KIND_AT, 1)] {
        let mut forged = sealed.clone();
        forged[at] = to;
        let id = ManifestId::of(&forged);
        let whose = manifest_owner(&id, &forged).unwrap();
        let refused = open_manifest(&id, &whose, &key(1), &forged).unwrap_err();
        assert_eq!(refused, ManifestError::WrongKey(whose));
    }
}

#[test]
fn another_version_is_named() {
    let (_, mut sealed) = seal_manifest(&owner(), &key(1), &small()).unwrap();
    sealed[8] = 2;
    let id = ManifestId::of(&sealed);
    assert_eq!(
        open_manifest(&id, &owner(), &key(1), &sealed).unwrap_err(),
        ManifestError::Version(2)
    );
}

#[test]
fn a_builder_refuses_what_is_no_file() {
    assert!(ManifestBuilder::new(Kind::File, u64::MAX, None).is_err());
    let place = |extents: &[(u32, u8)]| {
        let mut builder = ManifestBuilder::new(Kind::File, 10 * PAGE_BYTES as u64, None).unwrap();
        let chunk = builder.chunk(&chunk(1, CHUNK_PAGES), Origin::Own);
        for (page, pages) in extents {
            builder.place(Extent { page: *page, chunk, at: 0, pages: *pages });
        }
        builder.finish()
    };
    assert!(place(&[(0, 5), (5, 5)]).is_ok());
    assert!(place(&[(5, 6)]).is_err());
    assert!(place(&[(3, 2), (0, 4)]).is_err());
}

/// Plaintext that its owner sealed, but no builder made.
fn sealed_by_owner(plaintext: &[u8]) -> Result<Manifest, Malformed> {
    decode(Kind::File, plaintext)
}

proptest! {
    #[test]
    fn any_manifest_comes_back(places in prop::collection::vec((0u32..300, 0u8..100, 1u8..28), 0..40)) {
        let mut builder = ManifestBuilder::new(Kind::Pack, 500 * PAGE_BYTES as u64 - 1, None).unwrap();
        for (i, (page, at, pages)) in places.into_iter().enumerate() {
            let chunk = builder.chunk(&chunk(i as u8 % 5, CHUNK_PAGES), Origin::Own);
            builder.place(Extent { page, chunk, at, pages });
        }
        if let Ok(manifest) = builder.finish() {
            let (id, sealed) = seal_manifest(&owner(), &key(1), &manifest).unwrap();
            prop_assert_eq!(open_manifest(&id, &owner(), &key(1), &sealed).unwrap(), manifest);
        }
    }

    #[test]
    fn hostile_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let id = ManifestId::of(&bytes);
        prop_assert!(open_manifest(&id, &owner(), &key(1), &bytes).is_err());
        let mut headed = b"hearthmf\x01\0\0\x14account/000000000001".to_vec();
        headed.extend(&bytes);
        prop_assert!(open_manifest(&ManifestId::of(&headed), &owner(), &key(1), &headed).is_err());
    }

    #[test]
    fn a_manifest_with_bytes_exchanged_keeps_its_promises_or_is_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = encode(&small());
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(manifest) = sealed_by_owner(&bytes) {
            let mut behind = 0;
            for extent in manifest.extents() {
                prop_assert!(extent.page >= behind && extent.pages > 0);
                behind = extent.end();
                let chunk = &manifest.chunks()[extent.chunk as usize].chunk;
                prop_assert!(usize::from(extent.at) + usize::from(extent.pages) <= usize::from(chunk.pages));
                prop_assert!(usize::from(chunk.pages) <= CHUNK_PAGES);
            }
            prop_assert!(behind <= manifest.pages());
            prop_assert_eq!(encode(&manifest), bytes);
        }
    }
}
