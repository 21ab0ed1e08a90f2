//! When to try which build: bounded, fair to accounts, later after each failure.

use hearth_types::{AccountId, VersionKey};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How often a build is tried that fails for no fault of the function: with the
/// pauses below for some four minutes, in which sandboxes end and leave room.
const TRIES_MAX: u32 = 10;
/// The pause after the first failure; each next one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Builds known at once, over all accounts; the records hold the rest.
const KNOWN_MAX: usize = 10_000;
/// Builds known at once of one account, so that one does not take all places.
const KNOWN_OF_ACCOUNT_MAX: usize = 100;
/// How long after the last the records are read again for what did not fit. Reading
/// all versions is not for every build.
const RESCAN_PAUSE: Duration = Duration::from_secs(60);

/// The queue.
pub(crate) struct Queue {
    /// By account; none is empty.
    known: BTreeMap<AccountId, BTreeMap<VersionKey, Build>>,
    /// When to read the records; none while all that is to be built is known.
    scan: Option<Instant>,
}

struct Build {
    failures: u32,
    /// When to try it; none while it runs.
    due: Option<Instant>,
}

impl Default for Queue {
    /// Nothing is known yet, so the records are to be read.
    fn default() -> Self {
        Self { known: BTreeMap::new(), scan: Some(Instant::now()) }
    }
}

impl Queue {
    /// Notes a build. One that is known is left as it is.
    pub(crate) fn add(&mut self, key: VersionKey, now: Instant) {
        let known = self.len();
        let of_account = self.known.get(&key.account);
        if of_account.is_some_and(|builds| builds.contains_key(&key)) {
            return;
        }
        if known >= KNOWN_MAX || of_account.map_or(0, BTreeMap::len) >= KNOWN_OF_ACCOUNT_MAX {
            self.scan_later(now);
            return;
        }
        let build = Build { failures: 0, due: Some(now) };
        self.known.entry(key.account.clone()).or_default().insert(key, build);
    }

    fn len(&self) -> usize {
        self.known.values().map(BTreeMap::len).sum()
    }

    /// The build to begin now, if there is one, and whether it is its last try: of
    /// the account with the fewest that run, the one that is due for longest.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(VersionKey, bool)> {
        let of_account = |builds: &BTreeMap<VersionKey, Build>| {
            let running = builds.values().filter(|build| build.due.is_none()).count();
            let due = builds.iter().filter_map(|(key, b)| Some((b.due?, key)));
            let (due, key) = due.min_by_key(|(due, _)| *due).filter(|(due, _)| *due <= now)?;
            Some(((running, due), key.clone()))
        };
        let (_, key) = self.known.values().filter_map(of_account).min_by_key(|(rank, _)| *rank)?;
        let build = self.build(&key).expect("it was just found");
        build.due = None;
        let last = build.failures + 1 >= TRIES_MAX;
        Some((key, last))
    }

    fn build(&mut self, key: &VersionKey) -> Option<&mut Build> {
        self.known.get_mut(&key.account)?.get_mut(key)
    }

    /// A build is over, whatever its end.
    pub(crate) fn done(&mut self, key: &VersionKey) {
        if let Some(builds) = self.known.get_mut(&key.account) {
            builds.remove(key);
            if builds.is_empty() {
                self.known.remove(&key.account);
            }
        }
    }

    /// A build failed and is to be tried again.
    pub(crate) fn again(&mut self, key: &VersionKey, now: Instant) {
        if let Some(build) = self.build(key) {
            build.failures = (build.failures + 1).min(TRIES_MAX - 1);
            let doubled = PAUSE_FIRST * 2u32.pow(build.failures - 1);
            build.due = Some(now + doubled.min(PAUSE_MAX));
        }
    }

    /// A build was cut off, which is no failure of it.
    pub(crate) fn again_unchanged(&mut self, key: &VersionKey, now: Instant) {
        if let Some(build) = self.build(key) {
            build.due = Some(now + PAUSE_FIRST);
        }
    }

    /// Whether the records are to be read now.
    pub(crate) fn begin_scan(&mut self, now: Instant) -> bool {
        self.scan.take_if(|at| *at <= now).is_some()
    }

    /// Not all that is to be built is known.
    pub(crate) fn scan_later(&mut self, now: Instant) {
        self.scan.get_or_insert(now + RESCAN_PAUSE);
    }

    /// When something is to be done next; builds count only if one may begin.
    pub(crate) fn next_event(&self, may_begin: bool) -> Option<Instant> {
        let builds = self.known.values().flat_map(BTreeMap::values);
        let builds = builds.filter_map(|build| build.due).filter(|_| may_begin);
        builds.chain(self.scan).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_types::{RevisionId, Version};

    fn key(account: u64, version: u64) -> VersionKey {
        VersionKey {
            account: format!("{account:012}").parse().unwrap(),
            function: "f".parse().unwrap(),
            version: Version::Published(version),
            revision: "00000000-0000-4000-8000-000000000000".parse::<RevisionId>().unwrap(),
        }
    }

    #[test]
    fn an_account_with_many_does_not_keep_others_waiting() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (1..=50).for_each(|version| queue.add(key(1, version), now));
        assert_eq!(queue.take(now).unwrap().0, key(1, 1));
        queue.add(key(2, 1), now);
        assert_eq!(queue.take(now).unwrap().0.account, key(2, 1).account);
        assert_eq!(queue.take(now).unwrap().0, key(1, 2));
    }

    #[test]
    fn what_does_not_fit_is_read_from_the_records_later() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert!(queue.begin_scan(Instant::now()), "the first time at once");
        let most = KNOWN_OF_ACCOUNT_MAX as u64;
        (1..=most).for_each(|version| queue.add(key(1, version), now));
        assert!(!queue.begin_scan(now + RESCAN_PAUSE), "all are known");
        queue.add(key(1, most + 1), now);
        assert_eq!(queue.len(), KNOWN_OF_ACCOUNT_MAX);
        assert!(!queue.begin_scan(now) && queue.begin_scan(now + RESCAN_PAUSE));
        for account in 2..200 {
            (1..=most).for_each(|version| queue.add(key(account, version), now));
        }
        assert_eq!(queue.len(), KNOWN_MAX);
    }

    #[test]
    fn tries_are_bounded_and_further_and_further_apart() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.begin_scan(Instant::now());
        queue.add(key(1, 1), now);
        let mut pauses = Vec::new();
        loop {
            let (taken, last) = queue.take(now).unwrap();
            assert!(queue.take(now).is_none(), "one at a time");
            queue.add(taken.clone(), now);
            assert!(queue.take(now).is_none(), "though it is found again meanwhile");
            if last {
                queue.done(&taken);
                break;
            }
            queue.again(&taken, now);
            let next = queue.next_event(true).unwrap();
            pauses.push((next - now).as_secs());
            assert!(queue.take(next - Duration::from_millis(1)).is_none());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(queue.next_event(true), None);
    }
}
