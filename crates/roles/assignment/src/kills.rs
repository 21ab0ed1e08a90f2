//! Sandboxes that are being killed: their room comes back once they are gone.

use hearth_types::SandboxId;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::watch;

/// Those of one leader. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kills(Arc<watch::Sender<HashSet<SandboxId>>>);

/// One of them, until this is dropped.
pub(crate) struct Kill {
    kills: Kills,
    id: SandboxId,
}

/// Those at one moment.
pub(crate) struct UnderWay {
    then: HashSet<SandboxId>,
    now: watch::Receiver<HashSet<SandboxId>>,
}

impl Kills {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }

    pub(crate) fn begin(&self, id: SandboxId) -> Kill {
        self.0.send_if_modified(|kills| kills.insert(id));
        Kill { kills: self.clone(), id }
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(crate) fn under_way(&self) -> UnderWay {
        let now = self.0.subscribe();
        let then = now.borrow().clone();
        UnderWay { then, now }
    }

    /// Returns once none of these is being killed.
    pub(crate) async fn gone(&self, ids: &[SandboxId]) {
        let mut now = self.0.subscribe();
        // The sender is our own, so this ends only when it is so.
        let _so = now.wait_for(|now| ids.iter().all(|id| !now.contains(id))).await;
    }
}

impl Drop for Kill {
    fn drop(&mut self) {
        self.kills.0.send_if_modified(|kills| kills.remove(&self.id));
    }
}

impl UnderWay {
    /// Returns once one of them has ended, or one that began since; never if there is none.
    pub(crate) async fn one_ends(&mut self) {
        self.then.extend(self.now.borrow().iter());
        let then = &self.then;
        // An error would be the end of the leader, which waits for nothing.
        let _so = self.now.wait_for(|now| then.iter().any(|id| !now.contains(id))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn whoever_waits_hears_of_an_end_that_came_before_he_did() {
        let (kills, [first, second]) = (Kills::new(), [(); 2].map(|()| SandboxId::new()));
        let kill = kills.begin(first);
        let mut under_way = kills.under_way();
        assert!(under_way.one_ends().now_or_never().is_none());
        drop(kill);
        assert!(under_way.one_ends().now_or_never().is_some());
        // One that begins later counts as well.
        let mut under_way = kills.under_way();
        let kill = kills.begin(second);
        assert!(under_way.one_ends().now_or_never().is_none());
        drop(kill);
        assert!(under_way.one_ends().now_or_never().is_some());
        assert!(kills.are_none());
    }

    #[test]
    fn what_is_gone_is_not_waited_for() {
        let (kills, id) = (Kills::new(), SandboxId::new());
        assert!(kills.gone(&[id]).now_or_never().is_some(), "nobody kills it");
        let kill = kills.begin(id);
        assert!(kills.gone(&[id]).now_or_never().is_none());
        drop(kill);
        assert!(kills.gone(&[id]).now_or_never().is_some());
    }
}
