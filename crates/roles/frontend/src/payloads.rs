//! What payloads, in and out, may hold of memory and of connections: of each an
//! account may have a fair share.
//!
//! ```text
//!               counts in          until
//! claimed body  strangers' share   its signature is verified
//! proven body   callers' share     the call, and all that it was handed to, is done
//! answer        callers' share     the client has taken it
//! ```
//!
//! Whoever knows an access key's id can claim to be its owner until the body is
//! read, unless the head declares the body's hash. So claimed bodies have a share
//! of their own: forgeries cannot take what proven callers need.

use crate::FrontendOptions;
use crate::fair_share::{FairShare, Full, Held};
use crate::options::SMALL_BYTES_MAX;
use crate::upload::{Received, Upload};
use bytes::Bytes;
use hearth_types::AccountId;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Enough for the share of one account to be one.
const SLOW_MIN: usize = 2;
/// How many refused bodies may be drained at once; of the others the connection
/// is closed. It is strangers' bodies mostly, so they get few of the connections.
const DRAINS_MAX: usize = 64;

/// What those who are equally trusted share.
struct Shares {
    bytes: Arc<FairShare>,
    /// Connections held by the slow.
    slow: Arc<FairShare>,
}

impl Shares {
    fn new(options: &FrontendOptions) -> Self {
        Self {
            bytes: FairShare::new(options.payload_bytes_max / 2),
            slow: FairShare::new((options.connections_max / 2).max(SLOW_MIN)),
        }
    }

    /// A place among an account's slow ones.
    fn be_slow(&self, account: &AccountId) -> Result<Held, Full> {
        let mut place = self.slow.holder(account);
        place.grow(1)?;
        Ok(place)
    }
}

/// What one body may take while it is read.
pub(crate) struct Allowance<'a> {
    shares: &'a Shares,
    account: &'a AccountId,
    held: Option<Held>,
}

impl Allowance<'_> {
    /// Takes room until it is `bytes` in all.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        if bytes <= SMALL_BYTES_MAX {
            return Ok(());
        }
        let held = self.held.get_or_insert_with(|| self.shares.bytes.holder(self.account));
        held.grow(bytes - held.count())
    }

    /// A place for a body that is slow.
    pub(crate) fn be_slow(&self) -> Result<Held, Full> {
        self.shares.be_slow(self.account)
    }

    /// The room that was taken.
    pub(crate) fn into_held(self) -> Option<Held> {
        self.held
    }
}

/// Bytes that count until the last reference to them is gone.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What the payloads of all connections share.
pub(crate) struct Payloads {
    strangers: Shares,
    callers: Shares,
    drains: Semaphore,
}

impl Payloads {
    pub(crate) fn new(options: &FrontendOptions) -> Self {
        Self {
            strangers: Shares::new(options),
            callers: Shares::new(options),
            drains: Semaphore::new(DRAINS_MAX),
        }
    }

    /// What a body may take. `account` is whom the request claims to be from,
    /// `proven` whether that is certain.
    pub(crate) fn allowance<'a>(&'a self, account: &'a AccountId, proven: bool) -> Allowance<'a> {
        let shares = if proven { &self.callers } else { &self.strangers };
        Allowance { shares, account, held: None }
    }

    /// The bytes of a body whose signature is verified. They count until nobody
    /// needs them any more.
    pub(crate) fn keep(&self, body: Received) -> Result<Bytes, Full> {
        let Received { bytes, held } = body;
        match held {
            None => Ok(bytes),
            Some(held) => {
                Ok(Bytes::from_owner(Counted { bytes, _held: held.moved(&self.callers.bytes)? }))
            }
        }
    }

    /// Counts an answer until the client has taken it. It is there and its
    /// function has run, so it is not refused: its account's next calls are.
    pub(crate) fn answer(&self, account: &AccountId, bytes: Bytes) -> Bytes {
        if bytes.len() <= SMALL_BYTES_MAX {
            return bytes;
        }
        let mut held = self.callers.bytes.holder(account);
        held.charge(bytes.len());
        Bytes::from_owner(Counted { bytes, _held: held })
    }

    /// Whether an account holds more than its share, so that nothing that may
    /// have a large answer should be run for it.
    pub(crate) fn is_over(&self, account: &AccountId) -> bool {
        self.callers.bytes.is_over(account)
    }

    /// A place for an answer that is streamed, however slowly the client takes it.
    pub(crate) fn streamed(&self, account: &AccountId) -> Result<Held, Full> {
        self.callers.be_slow(account)
    }

    /// Drains a refused body, if not too many are being drained.
    pub(crate) async fn drain(&self, upload: &mut Upload) {
        if let Ok(_one_of_few) = self.drains.try_acquire() {
            upload.drain().await;
        }
    }
}
