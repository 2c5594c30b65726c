//! The lowest layer: memory, threads, calling conventions, the structures whose layout drivers know, and the one
//! world in which all drivers of this process run. It uses no other layer.
//!
//! Two circular dependencies remain. The console of `world` receives a `fault`, and a `fault` calls the console. A `probe` asks for the
//! `caller`, which reports each call to the probe; `thread` and `calls` take part in that.

pub(crate) mod abi;
pub(crate) mod arrivals;
pub(crate) mod caller;
pub(crate) mod calls;
pub(crate) mod context;
pub(crate) mod counts;
pub(crate) mod declare;
pub(crate) mod driver_object;
pub(crate) mod exception;
pub(crate) mod export;
pub(crate) mod fault;
pub(crate) mod foreign;
pub(crate) mod frameworks;
pub(crate) mod groups;
pub(crate) mod images;
pub(crate) mod list;
pub(crate) mod lock_order;
pub(crate) mod memory;
pub(crate) mod objects;
pub(crate) mod probe;
pub(crate) mod routine;
pub(crate) mod rule;
pub(crate) mod services;
pub(crate) mod stack;
pub(crate) mod thread;
pub(crate) mod time_zone;
pub(crate) mod types;
pub(crate) mod undisturbed;
pub(crate) mod world;
