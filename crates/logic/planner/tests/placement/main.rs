//! What placement promises, on fleets and histories of any kind.

mod avoided;
mod balance;
mod cost;
mod fleets;
mod promises;
