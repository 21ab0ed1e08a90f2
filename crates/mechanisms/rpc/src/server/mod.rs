//! The serving side: methods and their handlers, what is let in, and connections.

mod admission;
mod answer;
mod body;
mod connection;
mod gathered;
mod router;
mod serve;

pub use router::Router;
