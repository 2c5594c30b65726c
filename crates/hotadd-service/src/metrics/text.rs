//! The metrics as text: in the format of Prometheus, or as OpenMetrics. The libraries for this keep a registry of their own, and
//! write one of the two formats; here the values are read from the partition when they are asked for.

use std::fmt::{Display, Write};
use std::time::UNIX_EPOCH;

use hotadd::Missing;

use super::counts::{ADDS, BOUNDS, Counts, Phase, REMOVES};

/// How many missing parties are named.
const MOST_MISSING: usize = 64;

/// A format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// That of Prometheus 0.0.4, which `node_exporter` reads from files.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The state of a partition at one moment.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) hardware: &'static str,
    pub(crate) epoch: u64,
    pub(crate) active: usize,
    pub(crate) unagreed: usize,
    /// Being added at this moment.
    pub(crate) proposed: usize,
    /// Refused, or failed to start.
    pub(crate) refused: usize,
    pub(crate) vanished: usize,
    pub(crate) local_parties: usize,
    pub(crate) remote_parties: usize,
    pub(crate) waiting: usize,
    /// How long the longest wait for a party has taken so far, in microseconds.
    pub(crate) longest_wait: u64,
    pub(crate) missing: Vec<Missing>,
}

/// Writes metrics, one family after the other.
struct Writer {
    text: String,
    format: Format,
}

impl Writer {
    /// Begins a family.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // In OpenMetrics `_total` belongs to a sample of a counter, and not to its family.
        let name = match (kind, self.format) {
            ("counter", Format::Prometheus) => format!("{name}_total"),
            _ => name.to_owned(),
        };
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (nth, (key, value)) in labels.iter().enumerate() {
            let begins = if nth == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{begins}{key}=\"{}\"", escaped(value));
        }
        let ends = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{ends} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, samples: &[(&[(&str, &str)], f64)]) {
        self.family(name, "gauge", help);
        samples.iter().for_each(|(labels, value)| self.sample(name, labels, value));
    }

    fn counter<'a>(
        &mut self,
        name: &str,
        label: &str,
        help: &str,
        values: impl Iterator<Item = (&'a str, u64)>,
    ) {
        self.family(name, "counter", help);
        let name = format!("{name}_total");
        values.for_each(|(value, count)| self.sample(&name, &[(label, value)], count));
    }
}

/// A label's value, in which a quote, a backslash and a line break are escaped. Other control characters are replaced.
fn escaped(value: &str) -> String {
    let lines = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    hotadd::text::clean(&lines).into_owned()
}

/// A count as a number of a gauge.
#[expect(clippy::cast_precision_loss, reason = "no count here is near 2^52")]
const fn number(count: usize) -> f64 {
    count as f64
}

/// The metrics of a partition.
pub(crate) fn write(counts: &Counts, state: &State, format: Format) -> String {
    let mut to = Writer { text: String::new(), format };
    let build = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("partition", &*state.name),
        ("hardware", state.hardware),
    ];
    to.gauge("hotadd_build_info", "The program, and the partition.", &[(&build, 1.0)]);
    let of = |key| *counts.adds.get(key).unwrap_or(&0);
    let help = "Adds by result: joined; vetoed by a party; failed to start; refused because a party is missing; joined without agreement; other refusals.";
    to.counter("hotadd_adds", "result", help, ADDS.iter().map(|key| (*key, of(key))));
    let of = |key| *counts.removes.get(key).unwrap_or(&0);
    let help = "Removals by result: left; refused; failed to stop; vanished without a removal.";
    to.counter("hotadd_removes", "result", help, REMOVES.iter().map(|key| (*key, of(key))));
    let vetoes = counts.vetoes.iter().map(|(party, count)| (party.as_str(), *count));
    to.counter("hotadd_vetoes", "party", "Refusals by party, of adds and of removals.", vetoes);
    let breaches = counts.breaches.iter().map(|(clause, count)| (*clause, *count));
    to.counter("hotadd_breaches", "clause", "Breaches of the contract by clause.", breaches);
    phases(&mut to, counts);
    to.gauge(
        "hotadd_epoch",
        "The epoch of the active set, which grows with each change.",
        &[(&[], number(usize::try_from(state.epoch).unwrap_or(usize::MAX)))],
    );
    let processors: [(&[(&str, &str)], f64); 5] = [
        (&[("state", "active")], number(state.active)),
        (&[("state", "unagreed")], number(state.unagreed)),
        (&[("state", "joining")], number(state.proposed)),
        (&[("state", "refused")], number(state.refused)),
        (&[("state", "vanished")], number(state.vanished)),
    ];
    let help = "Processors by state. Those that joined without agreement are also active.";
    to.gauge("hotadd_processors", help, &processors);
    let parties: [(&[(&str, &str)], f64); 4] = [
        (&[("state", "local")], number(state.local_parties)),
        (&[("state", "remote")], number(state.remote_parties)),
        (&[("state", "waited_for")], number(state.waiting)),
        (&[("state", "missing")], number(state.missing.len())),
    ];
    let help = "Parties by state: registered in this process or in another; waited for at this moment; missing.";
    to.gauge("hotadd_parties", help, &parties);
    let wait = std::time::Duration::from_micros(state.longest_wait).as_secs_f64();
    to.gauge(
        "hotadd_longest_wait_seconds",
        "How long a party has been waited for; 0 if none is.",
        &[(&[], wait)],
    );
    to.family(
        "hotadd_party_missing_since_timestamp_seconds",
        "gauge",
        "Since when a party is missing. While it is, every add is refused.",
    );
    for missing in state.missing.iter().take(MOST_MISSING) {
        let since = missing.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let party = [("party", missing.party.name.as_str())];
        to.sample("hotadd_party_missing_since_timestamp_seconds", &party, since);
    }
    if format == Format::OpenMetrics {
        to.text.push_str("# EOF\n");
    }
    to.text
}

fn phases(to: &mut Writer, counts: &Counts) {
    let name = "hotadd_phase_duration_seconds";
    to.family(name, "histogram", "How long the phases of adds took: asking all parties, starting the processor, telling all parties.");
    for phase in Phase::ALL {
        let (label, histogram) = (("phase", phase.name()), &counts.phases[phase as usize]);
        let mut within = 0;
        for (bound, count) in BOUNDS.iter().zip(histogram.within) {
            within += count;
            let bound = bound.to_string();
            to.sample(&format!("{name}_bucket"), &[label, ("le", &bound)], within);
        }
        to.sample(&format!("{name}_bucket"), &[label, ("le", "+Inf")], histogram.count);
        to.sample(&format!("{name}_sum"), &[label], histogram.sum.as_secs_f64());
        to.sample(&format!("{name}_count"), &[label], histogram.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(counts: &Counts) -> [String; 2] {
        let state = State { name: "a\"b\\c\nd\u{1b}".to_owned(), active: 3, ..State::default() };
        [Format::Prometheus, Format::OpenMetrics].map(|format| write(counts, &state, format))
    }

    #[test]
    fn what_a_party_is_called_cannot_break_a_line() {
        let mut counts = Counts::default();
        counts.vetoes.insert("x\"} 1\nevil_total 7 \\".to_owned(), 2);
        let [text, _] = both(&counts);
        assert!(
            text.contains("hotadd_vetoes_total{party=\"x\\\"} 1\\nevil_total 7 \\\\\"} 2\n"),
            "{text}"
        );
        assert!(text.contains("partition=\"a\\\"b\\\\c\\nd\u{fffd}\""), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("evil")));
    }

    #[test]
    fn the_formats_differ_in_the_names_of_counters_and_in_the_end() {
        let [prometheus, open] = both(&Counts::default());
        assert!(prometheus.contains(
            "# TYPE hotadd_adds_total counter\nhotadd_adds_total{result=\"joined\"} 0\n"
        ));
        assert!(
            open.contains("# TYPE hotadd_adds counter\nhotadd_adds_total{result=\"joined\"} 0\n")
        );
        assert!(open.ends_with("\n# EOF\n") && !prometheus.contains("EOF"));
        assert!(prometheus.contains("hotadd_processors{state=\"active\"} 3\n"));
    }

    #[test]
    fn the_text_fits_into_a_message_whatever_the_parties_are_called() {
        let mut counts = Counts::default();
        for nth in 0..200 {
            counts.vetoes.insert(format!("{nth:03}{}", "\\".repeat(61)), u64::MAX);
        }
        let [text, _] = both(&counts);
        assert!(text.len() < hotadd_wire::MAX_MESSAGE / 2, "{}", text.len());
    }
}
