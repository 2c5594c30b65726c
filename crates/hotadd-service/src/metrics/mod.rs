//! The metrics of a partition: [counted](counts) from its events, written as [text], and [served](http) over HTTP.

pub(crate) mod address;
pub(crate) mod counts;
pub(crate) mod http;
pub(crate) mod text;
