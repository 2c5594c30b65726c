//! [`Ledger`]: what a driver has allocated and made, compared between two moments.

use std::collections::BTreeMap;

use hotadd_nt::{Place, pool, probe};

/// What is outstanding at one moment.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// Blocks by size, tag and origin: how many, and an example.
    blocks: BTreeMap<Key, (usize, pool::Block)>,
    /// Other objects.
    others: BTreeMap<&'static str, usize>,
}

type Key = (Option<usize>, u32, usize);

/// Memory or objects that are outstanding now, and were not at an earlier moment.
#[derive(Debug)]
pub(super) struct Growth {
    /// In words.
    pub(super) what: String,
    /// Where it was allocated.
    pub(super) origin: Option<Place>,
    key: Option<Key>,
}

impl Ledger {
    pub(super) fn now() -> Self {
        let mut blocks = BTreeMap::new();
        for block in pool::blocks() {
            blocks.entry(key(&block)).or_insert((0, block)).0 += 1;
        }
        let others = probe::outstanding().into_iter().collect();
        Self { blocks, others }
    }

    /// What grew since an earlier moment.
    pub(super) fn growth_since(&self, before: &Self) -> Vec<Growth> {
        let count =
            |ledger: &Self, key: &Key| ledger.blocks.get(key).map_or(0, |(count, _)| *count);
        let blocks = self.blocks.iter().filter_map(|(key, (now, block))| {
            let more = now.checked_sub(count(before, key)).filter(|more| *more > 0)?;
            Some(Growth::of_blocks(more, block, Some(*key)))
        });
        let others = self.others.iter().filter_map(|(kind, now)| {
            let before = before.others.get(kind).copied().unwrap_or(0);
            let more = now.checked_sub(before).filter(|more| *more > 0)?;
            Some(Growth { what: counted(more, kind), origin: None, key: None })
        });
        blocks.chain(others).collect()
    }

    /// How many blocks there are more than at an earlier moment.
    pub(super) fn blocks_since(&self, before: &Self) -> usize {
        let count = |ledger: &Self| ledger.blocks.values().map(|(count, _)| count).sum::<usize>();
        count(self).saturating_sub(count(before))
    }

    /// What grew in both of two equal rounds: a block that is kept for the next time grows only in the first.
    pub(super) fn growth_of_rounds(rounds: &[Self]) -> Vec<Growth> {
        let [.., first, second, third] = rounds else { return Vec::new() };
        let before = second.growth_since(first);
        let again = |growth: &Growth| {
            before
                .iter()
                .any(|one| one.key == growth.key && (one.key.is_some() || one.what == growth.what))
        };
        third.growth_since(second).into_iter().filter(again).collect()
    }
}

impl Growth {
    fn of_blocks(count: usize, block: &pool::Block, key: Option<Key>) -> Self {
        let bytes = block.size;
        let blocks = if count == 1 { "one block".to_owned() } else { format!("{count} blocks") };
        Self {
            what: format!("{blocks} of {bytes} bytes, tag '{}'", block.tag),
            origin: block.origin,
            key,
        }
    }

    /// Whether it is memory.
    pub(super) fn is_memory(&self) -> bool {
        self.key.is_some()
    }

    /// Whether it is about the same allocation.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && (self.key.is_some() || self.what == other.what)
    }
}

fn key(block: &pool::Block) -> Key {
    (block.origin.map(|place| place.offset), block.tag.0, block.size)
}

fn counted(count: usize, kind: &str) -> String {
    match (count, kind) {
        (1, kind) => format!("one {kind}"),
        (count, "block of pages") => format!("{count} blocks of pages"),
        (count, kind) => format!("{count} {kind}s"),
    }
}
