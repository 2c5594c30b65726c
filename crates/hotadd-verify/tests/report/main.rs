//! What the writers make of a report.

mod browser;
mod html;
mod json;
mod junit;
mod sample;
mod sarif;
mod table;
