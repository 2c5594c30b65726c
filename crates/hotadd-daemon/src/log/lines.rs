//! [`Lines`]: writes the log to stderr, one line an entry: either its text, or a JSON object with its fields.

use std::fmt::{Debug, Write as _};
use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The format of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// With the priority in front, which the journal reads from a stream.
    Priority,
    Json,
}

/// Writes log entries to stderr.
pub(super) struct Lines(pub(super) Form);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = self.0.line(*event.metadata().level(), fields);
        line.push('\n');
        // Written in one call, so that output of other threads cannot come between. A failed write is ignored: stderr has no
        // reader then.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

impl Form {
    fn line(self, level: Level, fields: Fields) -> String {
        let Fields { message, mut others } = fields;
        // The numbers and names of syslog(3).
        let (number, name) = match level {
            Level::ERROR => (3, "error"),
            Level::WARN => (4, "warning"),
            Level::INFO => (5, "notice"),
            _ => (6, "info"),
        };
        match self {
            Self::Text => message,
            Self::Priority => format!("<{number}>{message}"),
            Self::Json => {
                let time = humantime::format_rfc3339_micros(SystemTime::now());
                others.insert("time".to_owned(), time.to_string().into());
                others.insert("priority".to_owned(), name.into());
                others.insert("message".to_owned(), message.into());
                Value::Object(others).to_string()
            }
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn other(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.other(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.other(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.other(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.other(field, value);
    }
}
