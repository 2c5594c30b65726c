//! The page that a section is written into, between markers.

use crate::report::Section;

const END: &str = "<!-- peers: end -->";

/// The page, with the text between the markers of this section replaced.
pub(crate) fn with(page: &str, section: &Section) -> Result<String, String> {
    let mut page = page.to_owned();
    let (start, end) = region(&page, section.name)?;
    page.replace_range(start..end, &format!("\n{}\n", section.text().trim()));
    Ok(page)
}

/// What is between the markers of this section: from the end of its first to the beginning of its last.
fn region(page: &str, name: &str) -> Result<(usize, usize), String> {
    let marker = format!("<!-- peers: {name} -->");
    let lost = || {
        format!(
            "the page has no lines {marker} and {END}, between which this section is written; add them"
        )
    };
    let start = page.find(&marker).ok_or_else(lost)? + marker.len();
    let end = start + page[start..].find(END).ok_or_else(lost)?;
    Ok((start, end))
}

#[cfg(test)]
mod tests {
    use super::with;
    use crate::report::Section;

    fn section(lead: &str) -> Section {
        Section { name: "one", lead: lead.to_owned(), tables: vec![], plots: vec![] }
    }

    #[test]
    fn writing_twice_is_writing_once_and_touches_nothing_else() {
        let page = "Before.\n<!-- peers: one -->\nold\n<!-- peers: end -->\nAfter.\n";
        let once = with(page, &section("new")).unwrap();
        assert_eq!(once, "Before.\n<!-- peers: one -->\nnew\n<!-- peers: end -->\nAfter.\n");
        assert_eq!(with(&once, &section("new")).unwrap(), once);
    }

    #[test]
    fn a_page_without_the_markers_is_an_error_that_names_them() {
        let error = with("nothing", &section("new")).unwrap_err();
        assert!(error.contains("<!-- peers: one -->"), "{error}");
    }
}
