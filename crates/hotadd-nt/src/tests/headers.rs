//! Every function that the headers declare exists, in both conventions.

use crate::ground::abi::Abi;
use crate::kernel::exports;

/// The name in a prototype: the word before the parameters, or the last word.
fn name(prototype: &str) -> &str {
    let declared = prototype.split('(').next().unwrap_or_default().trim_end();
    declared.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

#[test]
fn every_declaration_of_the_headers_is_provided_in_both_conventions() {
    let declared = include_str!("../../include/exports.txt");
    let is_missing = |name: &&str| {
        exports::find(name).is_none_or(|export| {
            [Abi::Win64, Abi::SysV].into_iter().any(|abi| export.address(abi).is_null())
        })
    };
    let missing: Vec<&str> = declared.lines().map(name).filter(is_missing).collect();
    assert!(missing.is_empty(), "{} of {}: {missing:#?}", missing.len(), declared.lines().count());
}
