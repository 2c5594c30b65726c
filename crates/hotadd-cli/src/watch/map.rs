//! The processors as rows of signs: by group, node and core.
//!
//! A processor has a group once it has an index. Where the topology is known, each node of a group begins a row and the threads of a
//! core stand side by side. Otherwise each group begins a row.

use super::model::{Place, Watched};

/// The number of signs that a row has at most.
const LONGEST: u16 = 64;

/// A row of the map.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// What begins here; empty in a row that goes on.
    pub(super) label: String,
    /// The processors: column behind the label, id.
    pub(super) cells: Vec<(u16, u32)>,
}

/// Where the signs begin.
pub(super) fn margin(watched: &Watched, width: u16) -> u16 {
    let word = |long: u16, short: u16| if is_wide(width) { long } else { short };
    let node = watched.processors.values().any(|cpu| cpu.place.node.is_some());
    3 + word(9, 4) + if node { word(9, 4) } else { 0 }
}

const fn is_wide(width: u16) -> bool {
    width >= 60
}

/// The rows for a terminal of this width.
pub(super) fn rows(watched: &Watched, width: u16) -> Vec<Row> {
    let room = width.saturating_sub(margin(watched, width) + 1).clamp(1, LONGEST);
    let key = |id: &u32| {
        let cpu = &watched.processors[id];
        let group = cpu.processor.map(|processor| processor.number().group);
        // Processors without a group come last.
        (group.is_none(), group, cpu.place.node, cpu.place.package, cpu.place.core, *id)
    };
    let mut ids: Vec<u32> = watched.processors.keys().copied().collect();
    ids.sort_unstable_by_key(|id| key(id));
    let core = |id: u32| {
        let Place { package, core, .. } = watched.processors[&id].place;
        core.map(|core| (package, core))
    };
    // A core is only visible if some core has several processors.
    let apart = ids.windows(2).any(|two| core(two[0]).is_some() && core(two[0]) == core(two[1]));

    let mut rows: Vec<Row> = Vec::new();
    let mut before: Option<u32> = None;
    for (nth, id) in ids.iter().copied().enumerate() {
        let place = |id: &u32| {
            let (_, group, node, ..) = key(id);
            (group, node)
        };
        let begins = before.is_none_or(|before| place(&before) != place(&id));
        let gap = apart && before.is_some_and(|before| core(before) != core(id));
        // A core is not divided between two rows.
        let threads =
            if gap { ids[nth..].iter().take_while(|of| core(**of) == core(id)).count() } else { 1 };
        let column =
            rows.last().and_then(|row| row.cells.last()).map(|(x, _)| x + 1 + u16::from(gap));
        match (rows.last_mut(), column) {
            (Some(row), Some(column))
                if !begins && usize::from(column) + threads <= usize::from(room) =>
            {
                row.cells.push((column, id));
            }
            _ => {
                let (group, node) = place(&id);
                let new_group = before.is_none_or(|before| place(&before).0 != group);
                let label = if begins {
                    label(new_group.then_some(group), node, width)
                } else {
                    String::new()
                };
                rows.push(Row { label, cells: vec![(0, id)] });
            }
        }
        before = Some(id);
    }
    rows
}

fn label(group: Option<Option<u16>>, node: Option<u32>, width: u16) -> String {
    let group = match (group, is_wide(width)) {
        (None, _) => String::new(),
        (Some(Some(group)), true) => format!("group {group}"),
        (Some(Some(group)), false) => format!("g{group}"),
        (Some(None), true) => "no group".to_owned(),
        (Some(None), false) => "-".to_owned(),
    };
    match (node, is_wide(width)) {
        (None, _) => group,
        (Some(node), true) => format!("{group:<9}node {node}"),
        (Some(node), false) => format!("{group:<4}n{node}"),
    }
}

/// The row and the place in it of a processor.
pub(super) fn find(rows: &[Row], id: u32) -> Option<(usize, usize)> {
    rows.iter().enumerate().find_map(|(y, row)| {
        let x = row.cells.iter().position(|(_, cell)| *cell == id)?;
        Some((y, x))
    })
}
