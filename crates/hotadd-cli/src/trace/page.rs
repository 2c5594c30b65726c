//! The page that replays a trace: one file, which loads nothing. Its script sets what it shows as text only.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::read::Shown;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page may do: have exactly this style and run exactly this script. It must be changed with them; a test says what it
/// must be.
const POLICY: &str = "default-src 'none'; style-src 'sha256-I3bBP7ANzZUp/QF3QAdGMesh3GCmg69KM/7tmL4YMU4='; script-src 'sha256-u5ucIPFRUlZ+4/H7OYM8+dlk73wAeQqeJ3aJqjwYO70='; base-uri 'none'; form-action 'none'";

/// The page of a trace.
pub(super) fn page(shown: &Shown) -> String {
    let title = match shown.name() {
        Some(name) if !name.is_empty() => format!("{name}: processor changes"),
        _ => "Processor changes".to_owned(),
    };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    @if let Some(cut) = &shown.cut { p class="note" { "Note: " (cut) "." } }
                    noscript { p class="note" { "This page replays a trace with a script, which is disabled." } }
                    dl id="numbers" {}
                }
                main { (body()) }
                footer {
                    p class="keys" { "Keys: " kbd { "Space" } " plays and pauses, " kbd { "←" } " " kbd { "→" } " step, " kbd { "Home" } " " kbd { "End" } " go to the start and the end." }
                    p { "hotadd trace " (env!("CARGO_PKG_VERSION")) }
                }
                script id="trace" type="application/json" { (PreEscaped(data(shown))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

fn body() -> Markup {
    html! {
        div class="controls" role="group" aria-label="replay" {
            button id="back" type="button" aria-label="previous event" { "◂" }
            button id="play" type="button" { "▶ Play" }
            button id="forward" type="button" aria-label="next event" { "▸" }
            input id="scrub" type="range" min="0" max="10000" value="0" aria-label="time";
            output id="time" for="scrub" {}
            label { "plays in " select id="speed" {
                option value="10" { "10 s" } option value="30" selected { "30 s" } option value="120" { "2 min" }
            } }
            label { "zoom " select id="zoom" {
                option value="1" { "×1" } option value="4" { "×4" } option value="16" { "×16" } option value="64" { "×64" }
            } }
            label { input id="scale" type="checkbox"; " times to scale" }
        }
        p id="now" role="status" {}
        section aria-labelledby="h-processors" {
            h2 id="h-processors" { "Processors" }
            ul id="processors" {}
        }
        section aria-labelledby="h-timeline" {
            h2 id="h-timeline" { "Timeline" }
            div class="wide" tabindex="0" role="group" aria-labelledby="h-timeline" {
                svg id="timeline" role="img" aria-label="the calls of each party over time; the list below has the same" {}
            }
            p id="cut" class="note" {}
            ul class="legend" aria-label="colours" {
                li { i class="k-agreed" {} "agreed" } li { i class="k-told" {} "told" }
                li { i class="k-refused" {} "refused ✕" } li { i class="k-open" {} "no answer" }
                li { i class="k-ask" {} "asking" } li { i class="k-start" {} "starting or stopping" }
            }
        }
        section id="refused" aria-labelledby="h-refused" hidden {
            h2 id="h-refused" { "Refusals and faults" }
            div class="wide" tabindex="0" role="group" aria-labelledby="h-refused" {
                table {
                    thead { tr { th scope="col" class="right" { "ms" } th scope="col" { "what" } th scope="col" { "why" } } }
                    tbody id="refusals" {}
                }
            }
        }
        section aria-labelledby="h-story" {
            h2 id="h-story" { "What happened" }
            p id="more" {}
            ol id="story" tabindex="0" aria-labelledby="h-story" {}
        }
    }
}

/// The events as JSON that can stand inside of a script element: nothing in it ends the element or begins another.
fn data(shown: &Shown) -> String {
    let json = serde_json::to_string(&shown.events).unwrap_or_else(|_| "[]".to_owned());
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use serde_json::json;

    use super::*;

    /// What a program prints for this input.
    fn through(program: &str, arguments: &[&str], input: &[u8]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = command.spawn().unwrap();
        running.stdin.take().unwrap().write_all(input).unwrap();
        String::from_utf8(running.wait_with_output().unwrap().stdout).unwrap()
    }

    /// Base64 of a SHA-256, as a policy has it.
    fn hash(text: &str) -> String {
        let sum = through("sha256sum", &[], text.as_bytes());
        let byte = |at: usize| u8::from_str_radix(&sum[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..64).step_by(2).map(byte).collect();
        through("base64", &["-w0"], &bytes)
    }

    #[test]
    fn the_policy_allows_exactly_this_style_and_this_script() {
        for (what, text) in [("style", STYLE), ("script", SCRIPT)] {
            let allowed = format!("{what}-src 'sha256-{}'", hash(text));
            assert!(POLICY.contains(&allowed), "page.rs must say {allowed}");
        }
        assert!(POLICY.starts_with("default-src 'none'; ") && !POLICY.contains("unsafe"));
    }

    #[test]
    fn a_hostile_name_cannot_end_the_element_that_has_the_events() {
        let name = "</script><script>alert(1)</script><!--";
        let event =
            json!({ "ph": "i", "ts": 1, "tid": 1, "name": name, "args": { "reason": name } });
        let page = page(&Shown::of(vec![event]));
        assert_eq!(page.matches("</script").count(), 2, "those of the page itself");
        assert!(!page.contains("<script>alert") && !page.contains("<!--"));
        let (_, rest) = page.split_once("type=\"application/json\">").unwrap();
        let events: serde_json::Value =
            serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(events[0]["name"], name, "it is shown as it is");
    }
}
