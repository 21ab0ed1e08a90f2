//! Builds real images, out of real packages from the machine's own mirror.

use hearth_images::{BuildOptions, GuestImages, ImageCache, Progress};
use hearth_types::Runtime;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A build that has nothing to do takes far less; one that has, far more.
const NOTHING_TO_DO_MAX: Duration = Duration::from_secs(1);
/// Those that are soon built: the layers of Java and Node.js are compiled for long,
/// and have tests of their own.
const QUICK: [Runtime; 2] = [Runtime::Python313, Runtime::ProvidedAl2023];

/// Remembers the steps that did something.
#[derive(Default)]
struct Worked(Mutex<Vec<String>>);

impl Progress for Worked {
    fn step(&self, _: usize, _: usize, _: &str) {}
    fn advance(&self, _: f32, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

fn build(cache: &Path, agent: &[u8], worked: &Worked) -> GuestImages {
    build_of(&QUICK, cache, agent, worked)
}

fn build_of(runtimes: &[Runtime], cache: &Path, agent: &[u8], worked: &Worked) -> GuestImages {
    fs::create_dir_all(cache).unwrap();
    let agent_path = cache.join("agent");
    fs::write(&agent_path, agent).unwrap();
    let options = BuildOptions { agent: &agent_path, runtimes, refresh: false, progress: worked };
    ImageCache::open(cache).unwrap().build(&options).unwrap()
}

/// The digests of all images, by name.
fn digests(images: &GuestImages) -> Vec<String> {
    let fixed = [&images.kernel, &images.initramfs, &images.os_layer];
    fixed.into_iter().chain(images.runtime_layers.values()).map(|i| i.digest.to_string()).collect()
}

#[test]
fn images_are_reproducible_cached_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let silent = Worked::default();
    let images = build(&one, b"agent 1", &silent);
    assert_eq!(images.runtime_layers.len(), QUICK.len());

    // The same again: nothing is done, and `load` agrees.
    let (began, worked) = (Instant::now(), Worked::default());
    assert_eq!(build(&one, b"agent 1", &worked), images);
    assert!(began.elapsed() < NOTHING_TO_DO_MAX, "took {:?}", began.elapsed());
    assert_eq!(*worked.0.lock().unwrap(), Vec::<String>::new());
    let cache = ImageCache::open(&one).unwrap();
    assert_eq!(cache.load().unwrap(), images);
    assert_eq!(cache.verify().unwrap(), Vec::<std::path::PathBuf>::new());

    // Another agent: another initramfs, and nothing else.
    let other = build(&one, b"agent 2", &worked);
    assert_ne!(other.initramfs, images.initramfs);
    assert_eq!(other, GuestImages { initramfs: other.initramfs.clone(), ..images.clone() });
    assert_eq!(*worked.0.lock().unwrap(), Vec::<String>::new());

    // Which leaves the first one's as it was.
    fs::write(one.join("agent"), b"agent 1").unwrap();
    assert_eq!(cache.load_for(Some(&one.join("agent"))).unwrap().0, images);
    fs::write(one.join("agent"), b"agent 2").unwrap();
    assert_eq!(cache.load_for(Some(&one.join("agent"))).unwrap().0, other);

    // The same inputs elsewhere and later: the same bytes.
    let again = build(&two, b"agent 1", &silent);
    assert_eq!(digests(&again), digests(&images));

    // A lost image is missed and made again.
    fs::remove_file(&again.os_layer.path).unwrap();
    let cache = ImageCache::open(&two).unwrap();
    assert!(cache.load().is_err());
    assert_eq!(build(&two, b"agent 1", &silent), again);
    assert!(again.os_layer.path.is_file());
}

#[test]
fn the_layer_of_java_is_reproducible() {
    assert_reproducible(Runtime::Java21);
}

#[test]
#[ignore = "compiles for minutes, twice"]
fn the_layer_of_nodejs_is_reproducible() {
    assert_reproducible(Runtime::NodeJs22);
}

/// Builds the layer twice, in two places, and compares the bytes.
fn assert_reproducible(runtime: Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let layer = |cache: &str| {
        let cache = dir.path().join(cache);
        let images = build_of(&[runtime], &cache, b"agent", &Worked::default());
        images.runtime_layers[&runtime].digest.clone()
    };
    assert_eq!(layer("one"), layer("two"));
}
