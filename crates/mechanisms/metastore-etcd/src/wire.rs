//! The messages of etcd's API (version 3) that are used here, with the fields that are.
//! Names and numbers are etcd's; a field that is not listed is skipped when read.

use bytes::Bytes;

/// A request, and what it is answered with.
pub(crate) trait Call: prost::Message + Clone + 'static {
    /// The answer.
    type Answer: prost::Message + Default + 'static;
    /// Where it is sent.
    const PATH: &'static str;
}

macro_rules! call {
    ($request:ty, $answer:ty, $path:literal) => {
        impl Call for $request {
            type Answer = $answer;
            const PATH: &'static str = $path;
        }
    };
}

call!(Range, Ranged, "/etcdserverpb.KV/Range");
call!(Txn, TxnDone, "/etcdserverpb.KV/Txn");
call!(Watch, Watched, "/etcdserverpb.Watch/Watch");
call!(Grant, Granted, "/etcdserverpb.Lease/LeaseGrant");
call!(Revoke, Revoked, "/etcdserverpb.Lease/LeaseRevoke");
call!(Keep, Kept, "/etcdserverpb.Lease/LeaseKeepAlive");

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Header {
    /// The store's, when the answer was made.
    #[prost(int64, tag = "3")]
    pub(crate) revision: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(int64, tag = "3")]
    pub(crate) mod_revision: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) value: Bytes,
}

/// Keys from `key` to before `range_end`; without that, `key` alone.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Range {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) range_end: Bytes,
    /// 0 is no limit.
    #[prost(int64, tag = "3")]
    pub(crate) limit: i64,
    /// As of this revision; 0 is the newest.
    #[prost(int64, tag = "4")]
    pub(crate) revision: i64,
    #[prost(bool, tag = "8")]
    pub(crate) keys_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ranged {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Put {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
    /// 0 is none.
    #[prost(int64, tag = "3")]
    pub(crate) lease: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeleteRange {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Op {
    #[prost(oneof = "Do", tags = "1, 2, 3")]
    pub(crate) op: Option<Do>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Do {
    #[prost(message, tag = "1")]
    Range(Range),
    #[prost(message, tag = "2")]
    Put(Put),
    #[prost(message, tag = "3")]
    Delete(DeleteRange),
}

impl From<Do> for Op {
    fn from(op: Do) -> Self {
        Self { op: Some(op) }
    }
}

/// Compares what `target` says of a key, for equality: `result` is 0.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Compare {
    #[prost(int32, tag = "1")]
    pub(crate) result: i32,
    #[prost(enumeration = "Target", tag = "2")]
    pub(crate) target: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) key: Bytes,
    #[prost(oneof = "With", tags = "6, 7")]
    pub(crate) with: Option<With>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Target {
    Version = 0,
    ModRevision = 2,
    Value = 3,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum With {
    /// 0 is that of a key that is absent.
    #[prost(int64, tag = "6")]
    ModRevision(i64),
    #[prost(bytes = "bytes", tag = "7")]
    Value(Bytes),
}

impl Compare {
    /// Whether the key was last written by this revision; by 0, whether it is absent.
    pub(crate) fn mod_revision(key: Bytes, revision: i64) -> Self {
        let with = Some(With::ModRevision(revision));
        Self { result: 0, target: Target::ModRevision as i32, key, with }
    }
    /// Whether the key has this value.
    pub(crate) fn value(key: Bytes, value: Bytes) -> Self {
        Self { result: 0, target: Target::Value as i32, key, with: Some(With::Value(value)) }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Txn {
    #[prost(message, repeated, tag = "1")]
    pub(crate) compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) success: Vec<Op>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) failure: Vec<Op>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TxnDone {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(bool, tag = "2")]
    pub(crate) succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    pub(crate) responses: Vec<Done>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Done {
    /// The answer, if the operation was a range.
    #[prost(message, optional, tag = "1")]
    pub(crate) range: Option<Ranged>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Watch {
    #[prost(message, optional, tag = "1")]
    pub(crate) create: Option<WatchCreate>,
    #[prost(message, optional, tag = "3")]
    pub(crate) progress: Option<WatchProgress>,
}

/// Asks for an answer, whatever it is.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct WatchProgress {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WatchCreate {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) range_end: Bytes,
    /// The first to report; 0 is what comes next.
    #[prost(int64, tag = "3")]
    pub(crate) start_revision: i64,
    #[prost(bool, tag = "4")]
    pub(crate) progress_notify: bool,
    #[prost(bool, tag = "8")]
    pub(crate) fragment: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Watched {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    /// Which watch of the stream; [`ASKED`](Self::ASKED) if it was asked how it is.
    #[prost(int64, tag = "2")]
    pub(crate) watch_id: i64,
    #[prost(bool, tag = "3")]
    pub(crate) created: bool,
    #[prost(bool, tag = "4")]
    pub(crate) canceled: bool,
    #[prost(int64, tag = "5")]
    pub(crate) compact_revision: i64,
    #[prost(string, tag = "6")]
    pub(crate) cancel_reason: String,
    /// More events of the same answer follow in the next one.
    #[prost(bool, tag = "7")]
    pub(crate) fragment: bool,
    #[prost(message, repeated, tag = "11")]
    pub(crate) events: Vec<Changed>,
}

impl Watched {
    /// The watch that answers to [`WatchProgress`]: all of them.
    pub(crate) const ASKED: i64 = -1;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Changed {
    #[prost(enumeration = "How", tag = "1")]
    pub(crate) how: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) kv: Option<KeyValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum How {
    Put = 0,
    Delete = 1,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Grant {
    #[prost(int64, tag = "1")]
    pub(crate) ttl_s: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Granted {
    #[prost(int64, tag = "2")]
    pub(crate) id: i64,
    #[prost(int64, tag = "3")]
    pub(crate) ttl_s: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Revoke {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Revoked {}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Keep {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Kept {
    /// 0 says that the lease is over.
    #[prost(int64, tag = "3")]
    pub(crate) ttl_s: i64,
}
