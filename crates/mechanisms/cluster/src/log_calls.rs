//! `Logs` across processes: every worker has lines of its own, and a page is of all that
//! answer.
//!
//! Where a reader is, is a position in each worker's log: `work-a_4096.work-b_77`. The first
//! is read first; those for which a page had no room come first in the next one, so that
//! nobody's lines wait behind those of one who logs faster than they are read.

use crate::directory::Workers;
use crate::wire::as_text;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use hearth_rpc::{CallError, Channel, Method, Router};
use hearth_services::logs::{LOG_READ_BYTES_MAX, LogChunk, LogError, LogPage, LogReader, Logs};
use hearth_types::{AccountId, FunctionName, NodeName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Text is lossily decoded: a byte that is no character takes three.
const READ: Method =
    Method::new("hearth.Logs/Read").answer_bytes_max(4 * LOG_READ_BYTES_MAX + 1024);
/// Longest that one worker may take to read that much from its disk.
const READ_MAX: Duration = Duration::from_secs(5);
/// Workers that are asked at a time.
const READS_AT_ONCE: usize = 8;
/// Workers in one position: more than one URL has room for.
const POSITIONS_MAX: usize = 1024;

#[derive(Serialize, Deserialize)]
struct Read {
    account: AccountId,
    function: FunctionName,
    from: u64,
}

/// Serves a worker's logs.
pub fn serve_logs(router: Router, logs: Arc<dyn LogReader>) -> Router {
    router.method(READ, move |_, Read { account, function, from }| {
        let logs = Arc::clone(&logs);
        async move { logs.read(&account, &function, from).await.map_err(|error| as_text(&error)) }
    })
}

/// The logs of all workers of a cluster.
pub struct ClusterLogs {
    workers: Workers,
}

impl ClusterLogs {
    /// Of these.
    pub fn new(workers: Workers) -> Self {
        Self { workers }
    }
}

#[async_trait]
impl Logs for ClusterLogs {
    async fn page(
        &self,
        account: &AccountId,
        function: &FunctionName,
        from: &str,
    ) -> Result<LogPage, LogError> {
        let mut ways = self.workers.named_channels();
        let read_to = parse(from).ok_or(LogError::Position)?;
        // Of those that are not there now it is kept how far they were read.
        let (mut to_read, mut done) = (vec![], vec![]);
        for (node, from) in read_to {
            match ways.remove(&node) {
                Some(way) => to_read.push((node, way, from)),
                None => done.push((node, from)),
            }
        }
        to_read.extend(ways.into_iter().map(|(node, way)| (node, way, 0)));
        let reads = stream::iter(to_read).map(|(node, way, from)| async move {
            (node, from, read(&way, account, function, from).await)
        });
        let mut reads = reads.buffered(READS_AT_ONCE);
        let (mut page, mut left) = (LogPage::default(), vec![]);
        while let Some((node, from, chunk)) = reads.next().await {
            match chunk {
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::debug!(%node, error, "a worker's log could not be read");
                    page.unreachable.push(node.to_string());
                    done.push((node, from));
                }
                Ok(chunk) if has_room(&page, &chunk) => {
                    page.text += &chunk.text;
                    done.push((node, chunk.next));
                }
                Ok(_) => left.push((node, from)),
            }
        }
        // Who has said nothing yet needs no name to be read from the beginning.
        done.retain(|(_, from)| *from > 0);
        done.sort();
        left.append(&mut done);
        page.next = format(&left);
        Ok(page)
    }
}

/// Whether a page may have these lines, too. One that has none takes any.
fn has_room(page: &LogPage, chunk: &LogChunk) -> bool {
    page.text.is_empty() || page.text.len() + chunk.text.len() <= LOG_READ_BYTES_MAX
}

/// A worker did not say what is in its log.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the worker was not reached")]
    Call(#[from] CallError),
    #[error("the worker cannot read it: {0}")]
    Disk(String),
}

async fn read(
    way: &Channel,
    account: &AccountId,
    function: &FunctionName,
    from: u64,
) -> Result<LogChunk, ReadError> {
    let read = Read { account: account.clone(), function: function.clone(), from };
    let said: Result<LogChunk, String> = way.call(&READ, &read, Instant::now() + READ_MAX).await?;
    said.map_err(ReadError::Disk)
}

fn parse(text: &str) -> Option<Vec<(NodeName, u64)>> {
    let parts = text.split('.').filter(|_| !text.is_empty()).take(POSITIONS_MAX + 1);
    let position = |part: &str| {
        let (node, from) = part.rsplit_once('_')?;
        Some((node.parse().ok()?, from.parse().ok()?))
    };
    let positions: Vec<(NodeName, u64)> = parts.map(position).collect::<Option<_>>()?;
    let different: BTreeMap<_, _> = positions.iter().map(|(node, from)| (node, from)).collect();
    let is_sound = positions.len() <= POSITIONS_MAX && different.len() == positions.len();
    is_sound.then_some(positions)
}

fn format(positions: &[(NodeName, u64)]) -> String {
    let parts: Vec<_> = positions.iter().map(|(node, from)| format!("{node}_{from}")).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::View;
    use hearth_metastore::RedbStore;
    use hearth_rpc::{Channels, Security};
    use hearth_services::cluster::{NodeRecord, Role};
    use hearth_services::keys;
    use hearth_services::metastore::{MetaStore, Txn};
    use hearth_types::{NodeLife, Timestamp, WorkerId};
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    /// A worker whose log has so many lines, read some at a time.
    struct Lines {
        name: &'static str,
        count: u64,
    }

    const LINES_A_READ: u64 = 10_000;

    #[async_trait]
    impl LogReader for Lines {
        async fn read(
            &self,
            _: &AccountId,
            _: &FunctionName,
            from: u64,
        ) -> std::io::Result<LogChunk> {
            let next = self.count.min(from + LINES_A_READ);
            let text = (from..next).map(|n| format!("{} line {n:6}\n", self.name)).collect();
            Ok(LogChunk { text, next })
        }
    }

    fn node(name: &'static str, address: String) -> Txn {
        let name: NodeName = name.parse().unwrap();
        let record = NodeRecord {
            name: name.clone(),
            life: NodeLife::new(),
            zone: "a".parse().unwrap(),
            roles: [Role::Worker].into(),
            address,
            worker: Some(WorkerId::new()),
            lease: 0,
            started: Timestamp(0),
            version: String::new(),
        };
        Txn::new().put(keys::node(&name), keys::encode(&record))
    }

    #[tokio::test]
    async fn pages_have_all_lines_of_all_workers_that_answer() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(&dir.path().join("meta")).unwrap());
        let stop = CancellationToken::new();
        let workers = [("chatty", 45_000), ("other", 12_000), ("quiet", 0)];
        for (name, count) in workers {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let router = serve_logs(Router::new(), Arc::new(Lines { name, count }));
            let served = router.serve(listener, Security::PlaintextOnLoopback, stop.clone());
            drop(hearth_tasks::spawn("a worker's server", served));
            store.transact(node(name, address)).await.unwrap();
        }
        // Nobody listens there.
        store.transact(node("gone", "127.0.0.1:1".to_owned())).await.unwrap();
        let (nodes, follows) = View::start(store as _, keys::NODES).await.unwrap();
        let workers_of = Workers::new(nodes, Channels::new(Security::PlaintextOnLoopback), None);
        let logs = ClusterLogs::new(workers_of);

        let (account, function) = ("000000000001".parse().unwrap(), "f".parse().unwrap());
        let (mut from, mut pages) = (String::new(), vec![]);
        loop {
            let page = logs.page(&account, &function, &from).await.unwrap();
            assert_eq!(page.unreachable, ["gone"]);
            assert!(page.text.len() <= LOG_READ_BYTES_MAX);
            if page.next == from {
                assert_eq!(page.text, "");
                break;
            }
            from = page.next;
            pages.push(page.text);
        }
        assert_eq!(from, "chatty_45000.other_12000");
        let text = pages.concat();
        for (name, count) in workers {
            let wanted: Vec<_> = (0..count).map(|n| format!("{name} line {n:6}")).collect();
            let lines: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
            assert!(lines == wanted, "{name}: {} of {count} lines, in order", lines.len());
        }
        assert!(pages[1].starts_with("other"), "what the first had no room for comes next");
        let wrong = logs.page(&account, &function, "12").await;
        assert!(matches!(wrong, Err(LogError::Position)), "{wrong:?}");
        stop.cancel();
        follows.abort();
    }

    #[test]
    fn positions_are_what_pages_said() {
        assert_eq!(parse(""), Some(vec![]));
        let text = "work-b_77.work-a_4096";
        assert_eq!(format(&parse(text).unwrap()), text);
        let many = vec!["a_1"; POSITIONS_MAX + 2].join(".");
        for wrong in ["12", "_", "a_", "_1", "a_-1", "a_1.", "A_1", "a_1.a_2", "a b_1", &many] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
