//! Connections that wait for a request: when all places are taken, the one that
//! has waited longest gives its place up, so that silent clients lock nobody out.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a connection may wait in any case. By then a new client has sent
/// its request, and an old one has taken the last piece of its response.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// The connections that wait, in the order in which they began to.
#[derive(Debug, Default)]
pub(crate) struct IdleConnections(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, (Instant, CancellationToken)>,
}

/// One connection's wait; ends when this is dropped.
#[derive(Debug)]
struct Idle {
    all: Arc<IdleConnections>,
    number: u64,
}

/// One connection's place: it waits, or is busy with a request.
#[derive(Debug)]
pub(crate) struct Place {
    all: Arc<IdleConnections>,
    close: CancellationToken,
    idle: Mutex<Option<Idle>>,
}

/// The connection has a request, from its head to the response's last piece;
/// it waits for another when this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Place>);

impl Place {
    /// A connection that waits for its first request. `close` is cancelled if
    /// the place is needed meanwhile.
    pub(crate) fn new(all: &Arc<IdleConnections>, close: CancellationToken) -> Arc<Self> {
        let idle = Mutex::new(Some(all.wait(close.clone())));
        Arc::new(Self { all: all.clone(), close, idle })
    }

    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        drop(self.idle.lock().take());
        Busy(self.clone())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle.lock().is_some()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Place { all, close, idle } = &*self.0;
        *idle.lock() = Some(all.wait(close.clone()));
    }
}

impl IdleConnections {
    /// Begins a connection's wait; `close` is cancelled if its place is needed.
    fn wait(self: &Arc<Self>, close: CancellationToken) -> Idle {
        let mut waiting = self.0.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.by_age.insert(number, (Instant::now(), close));
        Idle { all: Arc::clone(self), number }
    }

    /// Closes the connection that has waited longest, if that is long enough.
    pub(crate) fn close_longest(&self) {
        let mut waiting = self.0.lock();
        if let Some(oldest) = waiting.by_age.first_entry()
            && oldest.get().0.elapsed() >= WAIT_MIN
        {
            oldest.remove().1.cancel();
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.all.0.lock().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_ends_first_and_only_when_it_is_long() {
        let all = Arc::new(IdleConnections::default());
        let tokens: [CancellationToken; 3] = Default::default();
        let closed = || tokens.each_ref().map(CancellationToken::is_cancelled);
        let busy_again = all.wait(tokens[0].clone());
        let _second = all.wait(tokens[1].clone());
        all.close_longest();
        assert_eq!(closed(), [false; 3], "too early");
        tokio::time::advance(WAIT_MIN).await;
        let _third = all.wait(tokens[2].clone());
        drop(busy_again);
        all.close_longest();
        all.close_longest();
        assert_eq!(closed(), [false, true, false]);
    }
}
