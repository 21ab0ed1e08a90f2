//! Measuring: drives a function, keeps the times of every invoke, and reports
//! them by kind of start and by stage.
//!
//! ```text
//! load of some kind ──► Samples ──► Report ──► table, JSON, SVG, HTML
//! ```

mod cold;
mod html;
mod load;
mod report;
mod samples;
mod starts;
mod stats;
mod svg;
mod table;
mod target;

pub(crate) use cold::{Cold, cold};
pub(crate) use html::{STYLE as PAGE_STYLE, page};
pub(crate) use load::{Load, Until, load};
pub(crate) use report::{Report, Setup};
pub(crate) use starts::{Starts, starts};
#[cfg(test)]
pub(crate) use svg::tests::assert_well_formed;
pub(crate) use svg::{escape, graph};
pub(crate) use table::render;
pub(crate) use target::Target;

/// Most invokes that one run keeps: each takes some 160 bytes.
pub(crate) const SAMPLES_MAX: u64 = 1_000_000;
