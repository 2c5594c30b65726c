//! [`Log`]: the daemon's log. It goes to the journal, with fields, where stderr is the journal's; otherwise to stderr, one line
//! an entry.

mod limit;
mod lines;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use hotadd::{Event, Status};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use self::limit::{LeftOut, Limit};
use self::lines::{Form, Lines};
use crate::view::{Note, Weight};

/// The target of the daemon's own entries. Entries that libraries trace in this process have other targets and are dropped.
const TARGET: &str = "hotadd";

/// The format of the daemon's lines on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// What happened, as text.
    Text,
    /// The same as JSON, one object a line, with fields.
    Json,
}

/// Where the daemon's lines go. May be used from any thread.
#[derive(Clone)]
pub(crate) struct Log {
    limit: Arc<Mutex<Limit>>,
    /// Wakes the thread that later logs how many lines were left out.
    wake: Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>,
}

/// The fields of a log entry besides its text.
#[derive(Clone, Copy, Debug, Default)]
struct About<'a> {
    event: Option<&'a str>,
    processor: Option<u64>,
    party: Option<&'a str>,
    clause: Option<&'a str>,
    status: Option<&'a str>,
    errno: Option<i64>,
    took_us: Option<u64>,
}

impl Log {
    /// To be called once in a process.
    pub(crate) fn new(format: Option<LogFormat>) -> Self {
        let journal = is_journal().unwrap_or(false);
        let form = match format {
            Some(LogFormat::Json) => Form::Json,
            Some(LogFormat::Text) | None if journal => Form::Priority,
            Some(LogFormat::Text) | None => Form::Text,
        };
        // An explicit format asks for output on stderr.
        let native = (journal && format.is_none()).then(tracing_journald::layer);
        let ours = Targets::new().with_target(TARGET, LevelFilter::TRACE);
        let layer: Box<dyn Layer<Registry> + Send + Sync> = match native {
            Some(Ok(native)) => {
                Box::new(native.with_field_prefix(Some("HOTADD".to_owned())).with_filter(ours))
            }
            // Without the journal's socket, its stream is used. The stream has no fields.
            Some(Err(_)) | None => Box::new(Lines(form).with_filter(ours)),
        };
        // A second call fails and leaves the first subscriber in place, which does the same.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(layer));
        let limit = Arc::new(Mutex::new(Limit::new(Instant::now())));
        Self { limit, wake: Arc::default() }
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a function that is called when lines are left out. The thread that it wakes calls [`say_left_out`](Self::say_left_out)
    /// when it is [due](Self::due).
    pub(crate) fn wakes(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// Logs a message of the daemon itself.
    pub(crate) fn line(&self, weight: Weight, text: &str) {
        self.say_left_out(false);
        emit(weight, text, &About::default());
    }

    /// Logs that a peer was refused or disconnected.
    pub(crate) fn turned(&self, text: &str) {
        self.limited("connections", Weight::Bad, text, &About::default());
    }

    /// Logs output of a party.
    pub(crate) fn output(&self, party: &str, note: &Note) {
        let about = About { party: Some(party), ..About::default() };
        self.limited(party, note.weight, &note.text, &about);
    }

    /// Logs an event.
    pub(crate) fn event(&self, event: &Event, note: &Note) {
        let party = event.party.as_ref().map(|party| party.name.as_str());
        let named = |status: Status| match status.name() {
            Some(name) => name.to_owned(),
            None => format!("0x{:08X}", status.to_raw()),
        };
        let status = event.status.map(named);
        let about = About {
            event: Some(event.kind.name()),
            processor: event.id.map(|id| id.0.into()),
            party,
            clause: event.clause,
            status: status.as_deref(),
            errno: event.errno.map(|errno| errno.to_raw().into()),
            took_us: event.took.and_then(|took| u64::try_from(took.as_micros()).ok()),
        };
        let processor = event.id.map(|id| format!("processor {id}"));
        let source = party.or(processor.as_deref()).unwrap_or("events");
        self.limited(source, note.weight, &note.text, &about);
    }

    fn limited(&self, source: &str, weight: Weight, text: &str, about: &About<'_>) {
        self.say_left_out(false);
        let (admitted, first) = {
            let mut limit = self.limit();
            let before = limit.due();
            (limit.admits(source), before.is_none() && limit.due().is_some())
        };
        if admitted {
            emit(weight, text, about);
        } else if let (true, Some(wake)) = (first, self.wake.get()) {
            wake();
        }
    }

    /// When the number of lines that were left out is to be logged. `None` if no lines were.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.limit().due()
    }

    /// Logs how many lines were left out, if that is due or the daemon ends.
    pub(crate) fn say_left_out(&self, at_end: bool) {
        let left_out: LeftOut = {
            let mut limit = self.limit();
            if at_end { limit.end() } else { limit.turn(Instant::now()) }
        };
        for (source, lines) in left_out {
            let says = format!("{lines} lines from {source} were dropped");
            emit(Weight::Bad, &says, &About { event: Some("left-out"), ..About::default() });
        }
    }
}

/// Emits one entry. Names and reasons come from parties: they are cleaned, so that an entry remains one line and cannot control a
/// terminal.
fn emit(weight: Weight, text: &str, about: &About<'_>) {
    let text = hotadd::text::clean(text);
    let About { event, processor, party, clause, status, errno, took_us } = *about;
    macro_rules! say {
        ($level:ident) => {
            tracing::event!(
                target: TARGET,
                tracing::Level::$level,
                event, processor, party, clause, status, errno, took_us,
                "{text}"
            )
        };
    }
    // The journal maps these levels to warning, notice and info.
    match weight {
        Weight::Bad => say!(WARN),
        Weight::Good => say!(INFO),
        Weight::Plain => say!(DEBUG),
    }
}

/// Whether stderr is the stream that `$JOURNAL_STREAM` names, by device and inode. The variable alone proves nothing: processes
/// whose stderr goes elsewhere inherit it.
fn is_journal() -> Option<bool> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
    Some(stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
