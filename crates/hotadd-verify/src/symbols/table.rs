//! [`Table`]: the functions of a file's symbol table, which remains when debugging information is missing.

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::image::Image;

/// Functions, in the order of their offsets.
#[derive(Debug, Default)]
pub(super) struct Table {
    functions: Vec<Function>,
}

#[derive(Debug)]
struct Function {
    /// Where it begins.
    begin: u64,
    /// Where it ends, or where its section ends if the table does not say.
    end: u64,
    /// Whether other modules see it. If a function has two names, the visible name is reported.
    global: bool,
    name: String,
}

impl Table {
    pub(super) fn new(image: &Image<'_>) -> Self {
        let file = &image.file;
        let mut functions: Vec<Function> = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| {
                let begin = symbol.address().checked_sub(image.base)?;
                let name = symbol.name().ok().filter(|name| !name.is_empty())?;
                let end = match symbol.size() {
                    0 => {
                        let section = file.section_by_index(symbol.section_index()?).ok()?;
                        section.address().checked_add(section.size())?.checked_sub(image.base)?
                    }
                    size => begin.checked_add(size)?,
                };
                let name = addr2line::demangle_auto(without_suffix(name).into(), None);
                Some(Function { begin, end, global: symbol.is_global(), name: name.into_owned() })
            })
            .collect();
        functions.sort_by(|a, b| {
            (a.begin, !a.global, &a.name, a.end).cmp(&(b.begin, !b.global, &b.name, b.end))
        });
        functions.dedup_by_key(|function| function.begin);
        Self { functions }
    }

    /// The name of the function that has this offset.
    pub(super) fn function(&self, offset: u64) -> Option<String> {
        let after = self.functions.partition_point(|function| function.begin <= offset);
        let function = self.functions.get(after.checked_sub(1)?)?;
        (offset < function.end).then(|| function.name.clone())
    }
}

/// The name of the function that a compiler changed: `start` for `start.constprop.0`.
fn without_suffix(name: &str) -> &str {
    let suffixes = [".cold", ".constprop.", ".isra.", ".llvm.", ".lto_priv.", ".part."];
    suffixes.iter().filter_map(|suffix| name.find(suffix)).min().map_or(name, |at| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_function_has_its_name() {
        for name in ["start", "start.part.0", "start.constprop.0.isra.1", "start.cold"] {
            assert_eq!(without_suffix(name), "start");
        }
        assert_eq!(without_suffix("main.main"), "main.main");
    }

    #[test]
    fn an_offset_between_two_functions_has_no_name() {
        let function =
            |begin, end, name: &str| Function { begin, end, global: true, name: name.to_owned() };
        let table =
            Table { functions: vec![function(16, 20, "first"), function(32, 40, "second")] };
        let names = [0, 16, 19, 20, 31, 32, 39, 40].map(|offset| table.function(offset));
        let names = names.iter().map(Option::as_deref).collect::<Vec<_>>();
        let (first, second) = (Some("first"), Some("second"));
        assert_eq!(names, [None, first, first, None, None, second, second, None]);
    }
}
