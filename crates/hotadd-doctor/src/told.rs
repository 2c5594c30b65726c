//! Findings about something that runs a command or a script: a problem, or an unknown effect.

use std::path::Path;

use super::command::{Does, Follower};
use super::finding::{Finding, Level, MOST, excerpt};
use super::script::{self, Subject};
use super::tree::Content;

pub(crate) const WHY: &str = "processors come online before any party was asked (A1), and count as joined \
 without agreement (Q3)";
pub(crate) const WHY_UNCLEAR: &str =
    "a command that cannot be analysed may bring processors online";

/// Something that runs commands or scripts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Its name in messages: "a crontab line".
    pub(crate) what: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) line: Option<usize>,
}

impl Source<'_> {
    /// The findings about the effect of a command.
    pub(crate) fn findings(&self, follower: &Follower<'_>, does: Does) -> Vec<Finding> {
        match does {
            Does::Online(by) => vec![self.problem(by)],
            Does::Unclear(doubts) => {
                let doubts = follower.news(doubts).into_iter();
                let told = doubts.map(|doubt| {
                    Finding::new(
                        Level::CannotTell,
                        format!(
                            "{} runs a command that cannot be analysed: {}",
                            self.what, doubt.what
                        ),
                    )
                    .at(self.path, self.line)
                    .why(WHY_UNCLEAR)
                    .fix(doubt.fix)
                });
                told.collect()
            }
            Does::Else => Vec::new(),
        }
    }

    fn problem(&self, by: Option<(std::path::PathBuf, usize)>) -> Finding {
        let what = match &by {
            Some((path, line)) if path != self.path => format!(
                "{} runs {}, which brings processors online in line {line}",
                self.what,
                path.display()
            ),
            _ => format!("{} brings processors online", self.what),
        };
        let line =
            self.line.or_else(|| by.filter(|(path, _)| path == self.path).map(|(_, line)| line));
        Finding::new(Level::Problem, what)
            .at(self.path, line)
            .why(WHY)
            .fix("remove the line; hotadd add brings a processor online with consent")
    }

    /// Findings for the lines of a text that bring processors online directly.
    pub(crate) fn lines(&self, text: &[u8], subject: Subject) -> Vec<Finding> {
        let hits = script::scan(text, subject).into_iter().take(MOST);
        let told = hits.map(|hit| {
            Finding::new(
                Level::Problem,
                format!("{} brings processors online: {}", self.what, hit.text),
            )
            .at(self.path, hit.line)
            .why(WHY)
            .fix("remove the line; hotadd add brings a processor online with consent")
        });
        told.collect()
    }

    /// The finding for something that could not be read.
    pub(crate) fn unread(&self, reason: &str) -> Finding {
        Finding::new(Level::CannotTell, format!("{} cannot be read: {reason}", self.what))
            .at(self.path, self.line)
            .why(WHY_UNCLEAR)
            .fix("run hotadd doctor as root, or check it by hand")
    }

    /// The text of a file. None if there is no file. If it cannot be read, a finding is added.
    pub(crate) fn text(&self, content: Content, findings: &mut Vec<Finding>) -> Option<Vec<u8>> {
        match content {
            Content::Text(text) => return Some(text),
            Content::Unread(reason) => findings.push(self.unread(&reason)),
            Content::Binary(_) => findings.push(self.unread("it is not a text file")),
            Content::Missing | Content::Folder | Content::Special => {}
        }
        None
    }
}

/// A command, shortened so that it can be shown.
pub(crate) fn quoted(command: &str) -> String {
    excerpt(command.as_bytes())
}
