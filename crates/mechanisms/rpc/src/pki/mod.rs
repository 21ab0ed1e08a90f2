//! The certificates of a cluster: one CA, and a certificate for each node. `security`
//! checks what this makes.
//!
//! ```text
//! ca.crt, ca.key      on the host of whoever adds nodes; the key nowhere else
//! ca.crt, node.crt, node.key                                 on each node
//! ```
//!
//! A node's certificate serves both sides of a connection. It names the node twice, for
//! servers (`hearth://node/NAME`) and for clients that want this node
//! (`NAME.node.hearth.internal`), and every node's has `node.hearth.internal`.

mod ca;
mod error;
mod files;
mod node;

pub use ca::{CA_DAYS, Ca, NODE_DAYS, Validity};
pub use error::PkiError;
pub use node::Issued;
