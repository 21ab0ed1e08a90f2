//! The servers that a cluster of Hearth stands on, for tests: real ones, on loopback or on
//! hosts of their own, in directories that go with them. `cargo xtask test` installs them.
#![forbid(unsafe_code)]

mod etcd;
pub mod gateway;
mod lan;
mod place;
mod s3;

pub use etcd::{Etcd, Member, START_MAX};
pub use lan::Lan;
pub use nix::sys::signal::Signal;
pub use place::Place;
pub use s3::{KEY_ID, S3Server, SECRET};
