//! [`thread_name`]: the names of the threads that this crate makes for a program.

use std::fmt::Display;

/// The longest thread name that the kernel shows, in bytes.
const LONGEST: usize = 15;

/// The name of a thread: the prefix, shortened, and a number of at most 13 digits.
pub(crate) fn thread_name(prefix: &str, number: impl Display) -> String {
    let number = format!("/{number}");
    let mut end = prefix.len().min(LONGEST.saturating_sub(number.len()));
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{number}", &prefix[..end])
}

#[cfg(test)]
mod tests {
    use super::thread_name;

    #[test]
    fn a_threads_name_has_its_number_and_at_most_15_bytes() {
        assert_eq!(thread_name("render", 3), "render/3");
        assert_eq!(thread_name("a-very-long-name", 2047), "a-very-lon/2047");
        assert_eq!(thread_name("ööööööööö", 11), "öööööö/11", "cut between characters");
        assert_eq!(thread_name("x", u32::MAX), "x/4294967295");
    }
}
