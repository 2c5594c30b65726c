//! [`Lines`]: what is logged, to stderr: its words, or a JSON object with its fields, a line each.

use std::fmt::{Debug, Write as _};
use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// With the priority in front, as the journal reads it from a stream.
    Priority,
    Json,
}

/// Writes what is logged to stderr.
pub(super) struct Lines(pub(super) Form);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = self.0.line(*event.metadata().level(), fields);
        line.push('\n');
        // In one piece, so that no other's words come between. Who does not listen misses it.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

impl Form {
    fn line(self, level: Level, fields: Fields) -> String {
        let Fields { message, mut others } = fields;
        // As syslog(3) has them.
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
            // To a string it cannot fail.
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
