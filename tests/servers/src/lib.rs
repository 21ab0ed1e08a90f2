//! The servers that a cluster of Hearth stands on, for tests: real ones, on loopback, in
//! directories that go with them. `cargo xtask test` installs them.
#![forbid(unsafe_code)]

mod etcd;
pub mod gateway;
mod s3;

pub use etcd::{Etcd, Member, START_MAX};
pub use nix::sys::signal::Signal;
pub use s3::{KEY_ID, S3Server, SECRET};
