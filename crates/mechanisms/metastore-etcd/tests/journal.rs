//! The journal on etcd: two writers depose each other while etcd's leader dies, comes
//! back and hangs.

mod support;

use bytes::Bytes;
use hearth_journal::{Item, Partition, Reader};
use hearth_services::metastore::MetaStore;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::Cluster;
use tokio::time::{Instant, sleep, timeout};

const PARTITION: Partition = Partition(1);
/// Records of a writer before the other takes over.
const REIGN: u64 = 20;
/// More than an election, a member that hangs, and a busy machine take together.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

struct Writing {
    store: Arc<dyn MetaStore>,
    written: AtomicU64,
    stop: AtomicBool,
}

impl Writing {
    /// Takes over again and again; which record was acknowledged at which entry.
    async fn run(&self, name: &str) -> BTreeMap<String, u64> {
        let (mut acknowledged, mut number) = (BTreeMap::new(), 0);
        while !self.stop.load(Ordering::SeqCst) {
            let reader = Reader::new(Arc::clone(&self.store), PARTITION);
            // The other was first, or etcd is not well: again.
            let Ok((_, writer)) = reader.lead(name).await else { continue };
            for _ in 0..REIGN {
                number += 1;
                let record = format!("{name}-{number}");
                let Ok(seq) = writer.append(Bytes::from(record.clone())).await else { break };
                acknowledged.insert(record, seq);
                self.written.fetch_add(1, Ordering::SeqCst);
            }
        }
        acknowledged
    }

    async fn progress(&self) -> Duration {
        let (began, wanted) = (Instant::now(), self.written.load(Ordering::SeqCst) + 2 * REIGN);
        while self.written.load(Ordering::SeqCst) < wanted {
            assert!(began.elapsed() < RECOVERY_MAX, "nothing is written any more");
            sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_whoever_wrote_it() {
    let mut cluster = Cluster::start(3).await;
    let store: Arc<dyn MetaStore> = Arc::new(cluster.store());
    let writing = Writing { store: Arc::clone(&store), written: 0.into(), stop: false.into() };
    let breaking = async {
        writing.progress().await;
        let leader = cluster.leader().await;
        cluster.nodes[leader].kill();
        println!("etcd's leader dies: {:?} to as many records more", writing.progress().await);
        cluster.run(leader);
        writing.progress().await;
        let leader = cluster.leader().await;
        cluster.nodes[leader].signal(Signal::SIGSTOP);
        println!("it hangs: {:?}", writing.progress().await);
        cluster.nodes[leader].signal(Signal::SIGCONT);
        writing.progress().await;
        writing.stop.store(true, Ordering::SeqCst);
    };
    let (mut ours, theirs, ()) = tokio::join!(writing.run("a"), writing.run("b"), breaking);
    println!("{} and {} records", ours.len(), theirs.len());
    assert!(!ours.is_empty() && !theirs.is_empty());
    ours.extend(theirs);

    let last = *ours.values().max().unwrap();
    let mut reader = Reader::new(store, PARTITION);
    let (mut epoch, mut seen) = (0, BTreeSet::new());
    loop {
        let next = timeout(RECOVERY_MAX, reader.next()).await.expect("comes in time").unwrap();
        let Item::Entry(entry) = next else { panic!("there is no checkpoint") };
        assert!(entry.epoch >= epoch, "entry {} is of an epoch that was over", entry.seq);
        epoch = entry.epoch;
        for record in &entry.records {
            let record = std::str::from_utf8(record).unwrap();
            assert!(seen.insert(record.to_owned()), "{record} is there twice");
            if let Some(seq) = ours.remove(record) {
                assert_eq!(seq, entry.seq, "{record}");
            }
        }
        if entry.seq == last {
            break;
        }
    }
    assert!(ours.is_empty(), "lost: {ours:?}");
}
