//! Random ids. All are UUIDs, so none can be guessed from another.

use hearth_ambient::random;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one, from the operating system's random generator.
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(uuid::Builder::from_random_bytes(random::bytes()).into_uuid())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(s).map(Self)
            }
        }
    };
}

uuid_newtype! {
    /// One API request; an invocation carries it into the guest and the logs.
    RequestId
}
uuid_newtype! {
    /// One state of one function version: changes with each update, never reused.
    RevisionId
}
uuid_newtype! {
    /// One execution environment: a microVM and the runtime inside it.
    SandboxId
}
uuid_newtype! {
    /// One snapshot of an initialised function version.
    SnapshotId
}
uuid_newtype! {
    /// One worker process's life; a restarted worker has a new id.
    WorkerId
}
uuid_newtype! {
    /// One node's life: a process that starts anew under the same name has another.
    NodeLife
}
