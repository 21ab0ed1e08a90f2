//! Writing down whose sandboxes are, so that another leader can go on. On one machine
//! there is none, and nothing is written.

use crate::ledger::{self, Record};
use hearth_journal::{AppendError, JournalError, Seq, Writer};
use hearth_sandboxes::Owned;
use hearth_services::keys;
use hearth_types::SandboxId;
use tokio_util::sync::CancellationToken;

/// A checkpoint is due when entries since the last hold this much: it is what a new leader
/// or follower has to read, a second's work at most.
const CHECKPOINT_BYTES: usize = 8 * 1024 * 1024;

/// The journal of the partition that is led.
pub(crate) struct Ownership {
    writer: Writer,
    /// Another leader began.
    deposed: CancellationToken,
}

impl Ownership {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer, deposed: CancellationToken::new() }
    }

    /// Ends with this leader's time: another began, or nobody knows what is written.
    pub(crate) async fn deposed(&self) {
        self.deposed.cancelled().await;
    }

    /// Whether another began, by the journal and not by whoever says so.
    pub(crate) async fn is_deposed(&self) -> Result<bool, JournalError> {
        let is_deposed = !self.writer.is_current().await?;
        if is_deposed {
            self.deposed.cancel();
        }
        Ok(is_deposed)
    }

    /// Writes that a sandbox is about to be created; durable when this returns. Nothing may
    /// be created before.
    pub(crate) async fn placing(&self, id: SandboxId, owned: Owned) -> Result<(), AppendError> {
        self.write(Record::Placing(id, owned)).await
    }

    /// Writes what another leader could find out from the workers as well.
    pub(crate) async fn note(&self, record: Record) {
        if let Err(error) = self.write(record).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what became of a sandbox is not in the journal; its worker knows"
            );
        }
    }

    async fn write(&self, record: Record) -> Result<(), AppendError> {
        let written = self.writer.append(keys::encode(&record)).await;
        use AppendError::{Deposed, Ended, Unknown, Untold};
        if let Err(Deposed | Ended | Unknown(_) | Untold) = &written {
            self.deposed.cancel();
        }
        written.map(|_seq| ())
    }

    /// The last entry that is written.
    pub(crate) fn last(&self) -> Seq {
        self.writer.last()
    }

    /// Whether a checkpoint is due.
    pub(crate) fn is_long(&self) -> bool {
        self.writer.backlog_bytes() > CHECKPOINT_BYTES
    }

    /// Has what `sandboxes` returns stand for all that is written by now. It is called
    /// after: it may know of more.
    pub(crate) async fn checkpoint(
        &self,
        sandboxes: impl FnOnce() -> Vec<(SandboxId, Owned)>,
    ) -> Result<(), JournalError> {
        let upto = self.writer.last();
        let done = self.writer.checkpoint(upto, &ledger::state(&sandboxes())).await;
        if let Err(JournalError::Deposed(_)) = &done {
            self.deposed.cancel();
        }
        done
    }
}
