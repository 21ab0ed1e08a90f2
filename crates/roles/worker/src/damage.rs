//! Damaged snapshots: found out when a guest of one fails, not used any more, and made
//! anew in the background.
//!
//! ```text
//!  a start from a snapshot fails ─┐                         ┌ no: it was something else
//!  a sandbox of one ends by itself ┴─► is its data bad? ────┤
//!                                                           └ yes, said at WARN
//!      a layer: its name goes, and it is made like one that nobody had ─────┐
//!      a function's: starts pass it by; initialised and captured again ─────┴─► used again
//! ```
//!
//! After that, snapshots that starts do succeed from are looked after, too: chunks are
//! shared, and a page that no start touches fails an event.
//!
//! Whether it is bad is known at the origin: whoever read it (as a rule the page server)
//! has noted that there. A function that breaks its guest costs it nothing.

use crate::layers::{self, LayerKey};
use crate::sandbox::Sandbox;
use crate::snapshot::{SnapshotError, of_function};
use crate::snapshot_metrics::{self, Of};
use crate::{Serving, WorkerService, snap_start};
use hearth_snapshot_store::Name;
use hearth_types::{FunctionVersion, SnapshotId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// After a snapshot was made anew for its damage, or could not be, it is not made anew
/// for as long as this: a disk that spoils whatever it is given must not keep the host
/// busy with that. Its starts take the longer way meanwhile.
pub(crate) const REMAKE_PAUSE: Duration = Duration::from_secs(600);
/// Snapshots whose damage is remembered; of one beyond, each start finds out anew.
const KNOWN_MAX: usize = 1024;

/// What may be damaged.
#[derive(Clone)]
pub(crate) enum Suspect {
    Layer(LayerKey),
    Function(Arc<FunctionVersion>, SnapshotId),
}

impl Suspect {
    fn name(&self, worker: &WorkerService) -> Name {
        match self {
            Self::Layer(key) => worker.layer_name(key),
            Self::Function(version, id) => of_function(version, *id),
        }
    }
}

/// What is known of one snapshot.
#[derive(Default)]
struct Known {
    /// Somebody is finding out, or making it anew.
    in_hand: bool,
    is_damaged: bool,
    /// It is not made anew before.
    not_before: Option<Instant>,
}

/// Snapshots that are, or were, damaged.
#[derive(Default)]
pub(crate) struct Damage {
    known: Mutex<HashMap<Name, Known>>,
    /// Something was found damaged in this process's life: what shares chunks with it
    /// may be, too, and not have met them yet.
    seen: AtomicBool,
    /// One function's snapshot is made anew at a time: invokes need the host too.
    remaking: tokio::sync::Mutex<()>,
}

impl Damage {
    /// Whether a snapshot is not to be used.
    fn is_damaged(&self, name: &Name) -> bool {
        self.known.lock().get(name).is_some_and(|known| known.is_damaged)
    }

    /// Whether the caller is to find out about it.
    fn begin(&self, name: &Name) -> bool {
        let mut all = self.known.lock();
        if !all.contains_key(name) && all.len() >= KNOWN_MAX {
            all.retain(|_, known| known.in_hand || known.is_damaged || known.is_paused());
            if all.len() >= KNOWN_MAX {
                return false;
            }
        }
        let known = all.entry(name.clone()).or_default();
        let may = !(known.in_hand || known.is_damaged && known.is_paused());
        known.in_hand |= may;
        may
    }

    /// Whether snapshots have to be looked after that seem to be well.
    pub(crate) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// Something is damaged, and it is not known what shares it.
    pub(crate) fn note_seen(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    fn end(&self, name: &Name) {
        let mut all = self.known.lock();
        if let Some(known) = all.get_mut(name) {
            known.in_hand = false;
            if !known.is_damaged && !known.is_paused() {
                all.remove(name);
            }
        }
    }

    fn set(&self, name: &Name, is_damaged: bool) {
        if let Some(known) = self.known.lock().get_mut(name) {
            known.is_damaged = is_damaged;
        }
    }

    /// Begins the pause, unless it is going on: then its end.
    fn pause(&self, name: &Name) -> Option<Instant> {
        let mut all = self.known.lock();
        let known = all.entry(name.clone()).or_default();
        if known.is_paused() {
            return known.not_before;
        }
        known.not_before = Some(Instant::now() + REMAKE_PAUSE);
        None
    }

    /// Forgets a snapshot that is gone.
    pub(crate) fn forget(&self, name: &Name) {
        self.known.lock().remove(name);
    }
}

impl Known {
    fn is_paused(&self) -> bool {
        self.not_before.is_some_and(|when| when > Instant::now())
    }
}

/// Whether a function's snapshot is to be passed by. Its turn to be made anew comes
/// with the starts that would use it.
pub(crate) fn passes_by(
    worker: &Arc<WorkerService>,
    version: &Arc<FunctionVersion>,
    id: SnapshotId,
) -> bool {
    let is_damaged = worker.damage.is_damaged(&of_function(version, id));
    if is_damaged {
        suspect(worker, Suspect::Function(Arc::clone(version), id));
    }
    is_damaged
}

/// A sandbox ended by itself: perhaps for a page that could not be had.
pub(crate) fn suspect_origin(worker: &Arc<WorkerService>, sandbox: &Sandbox) {
    let version = &sandbox.version;
    match sandbox.resources._served.origin_name() {
        Some(Name::Layer(_)) => suspect(worker, Suspect::Layer(LayerKey::of(worker, version))),
        // One that is still known: a sandbox may outlive its version, and its snapshot.
        Some(name @ Name::Function(_, id)) if worker.open_snapshots.holds(name) => {
            suspect(worker, Suspect::Function(Arc::clone(version), *id));
        }
        Some(Name::Function(..)) | None => {}
    }
}

/// Finds out, in the background, whether something is damaged, and sees to it.
pub(crate) fn suspect(worker: &Arc<WorkerService>, what: Suspect) {
    let name = what.name(worker);
    if worker.serving.is_none() || !worker.damage.begin(&name) {
        return;
    }
    let weak = Arc::downgrade(worker);
    hearth_tasks::spawn_tracked(&worker.watchers, "damaged snapshot", async move {
        let Some(worker) = weak.upgrade() else { return };
        tokio::select! {
            () = see_to(&worker, &what, &name) => {}
            // What was started dies with its handle.
            () = worker.stopping.cancelled() => {}
        }
        worker.damage.end(&name);
    });
}

async fn see_to(worker: &Arc<WorkerService>, what: &Suspect, name: &Name) {
    match what {
        Suspect::Layer(key) => {
            if drop_if_damaged(worker, key).await {
                layers::want(worker, *key);
            }
        }
        Suspect::Function(version, id) => {
            let Some(wrong) = what_is_wrong(worker, name).await else {
                return worker.damage.set(name, false);
            };
            if !worker.damage.is_damaged(name) {
                snapshot_metrics::damaged(Of::Function);
                tracing::warn!(snapshot = %name, function = %version.key.function,
                    version = %version.key.version, "a function's snapshot is damaged, and is \
                    made anew; until then its sandboxes start without it: {wrong}");
            }
            worker.damage.set(name, true);
            worker.open_snapshots.forget(name);
            if worker.damage.pause(name).is_none() {
                remake(worker, version, *id, name).await;
            }
        }
    }
}

/// Initialises a function again and captures it under the name that its record has.
async fn remake(
    worker: &Arc<WorkerService>,
    version: &Arc<FunctionVersion>,
    id: SnapshotId,
    name: &Name,
) {
    let _alone = worker.damage.remaking.lock().await;
    let began = Instant::now();
    let made = snap_start::build(worker, version, (id, true)).await;
    snapshot_metrics::built(Of::Function, &made, began.elapsed());
    match made {
        Ok(()) => {
            worker.damage.set(name, false);
            tracing::info!(snapshot = %name, took_ms = began.elapsed().as_millis() as u64,
                "made a damaged snapshot anew");
        }
        Err(error) => tracing::warn!(
            snapshot = %name,
            error = &error as &dyn std::error::Error,
            "a damaged snapshot could not be made anew; it is tried again with a start after \
             {REMAKE_PAUSE:?}"
        ),
    }
}

/// Takes a layer's name away if it is damaged; whether it was, and is to be made anew
/// at once.
pub(crate) async fn drop_if_damaged(worker: &WorkerService, key: &LayerKey) -> bool {
    let name = worker.layer_name(key);
    let Some(Serving { snapshots, .. }) = &worker.serving else { return false };
    let Some(wrong) = what_is_wrong(worker, &name).await else { return false };
    snapshot_metrics::damaged(Of::Layer);
    tracing::warn!(layer = %name,
        "a layer is damaged: it is removed, and made anew in the background, but not more \
         often than every {REMAKE_PAUSE:?}: {wrong}");
    if let Err(error) = snapshots.remove(&name).await {
        // Whoever makes it anew writes over the name.
        tracing::warn!(layer = %name, %error, "a damaged layer's name cannot be removed");
    }
    worker.open_snapshots.forget(&name);
    let pause = worker.damage.pause(&name);
    worker.layers.put_off(key, pause.unwrap_or_else(Instant::now));
    pause.is_none()
}

/// What is wrong with what a snapshot is made of, if anything is known to be.
async fn what_is_wrong(worker: &WorkerService, name: &Name) -> Option<String> {
    let Serving { snapshots, .. } = worker.serving.as_ref()?;
    let stored = match worker.snapshot(name).await {
        Ok(stored) => stored,
        Err(SnapshotError::Open(_, error)) if error.is_damage() => return Some(told(&error)),
        Err(error @ SnapshotError::Missing(_)) => return Some(error.to_string()),
        // Of another machine, or out of reach for now.
        Err(_) => return None,
    };
    let damaged = match snapshots.suspects().await {
        Ok(suspects) => snapshots.damage(&suspects, &stored).await,
        Err(error) => Err(error),
    };
    match damaged {
        Ok(damaged) => {
            let [first, ..] = &damaged[..] else { return None };
            worker.damage.note_seen();
            Some(format!("{first} is bad at the origin, and {} more", damaged.len() - 1))
        }
        Err(error) => {
            tracing::warn!(
                snapshot = %name,
                error = &error as &dyn std::error::Error,
                "cannot find out whether a snapshot is damaged"
            );
            None
        }
    }
}

/// An error with what lies below it.
fn told(error: &dyn std::error::Error) -> String {
    let below = error.source().map(|below| format!(": {}", told(below)));
    error.to_string() + &below.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::Function("123456789012".parse().unwrap(), SnapshotId::new())
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_finds_out_and_what_was_nothing_is_forgotten() {
        let (damage, name) = (Damage::default(), name());
        assert!(damage.begin(&name) && !damage.begin(&name));
        damage.end(&name);
        assert!(damage.known.lock().is_empty());
        assert!(damage.begin(&name));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_made_anew_more_often_than_once_in_a_pause() {
        let (damage, name) = (Damage::default(), name());
        for round in 0..3 {
            assert!(damage.begin(&name), "{round}");
            damage.set(&name, true);
            assert_eq!(damage.pause(&name), None, "it is made anew, round {round}");
            damage.end(&name);
            // It could not be, and every start would have it tried again.
            assert!(damage.is_damaged(&name) && !damage.begin(&name));
            tokio::time::advance(REMAKE_PAUSE + Duration::from_millis(1)).await;
        }
        // It could be, and is damaged again at once: found out, and left at that.
        assert!(damage.begin(&name));
        assert_eq!(damage.pause(&name), None);
        damage.set(&name, false);
        damage.end(&name);
        assert!(damage.begin(&name) && damage.pause(&name).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_bounded() {
        let damage = Damage::default();
        for _ in 0..KNOWN_MAX {
            let name = name();
            assert!(damage.begin(&name));
            damage.set(&name, true);
            damage.end(&name);
        }
        assert!(!damage.begin(&name()));
        assert_eq!(damage.known.lock().len(), KNOWN_MAX);
    }
}
