//! [`Tracks`]: the track of each party and each processor. Their number is limited, since names come from parties.

use std::collections::{BTreeMap, HashMap};

/// The track of what concerns the whole partition.
pub(super) const PARTITION: u64 = 1;

/// The tracks of parties begin here, and those of processors after all of them.
const PARTIES: u64 = 10;
const PROCESSORS: u64 = 1_000_000_000;

/// The most tracks of parties that are not registered any more, and the most of processors.
const MOST: usize = 4096;

/// The tracks of a trace.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    parties: BTreeMap<(i32, String), Vec<Lane>>,
    /// How many tracks `parties` has.
    count: usize,
    /// The track of each registered party that has one, and under what it is found.
    of: HashMap<u64, (u64, (i32, String))>,
    processors: BTreeMap<u32, u64>,
    next: u64,
}

/// A track that parties of the same name and level use one after the other.
#[derive(Debug)]
struct Lane {
    track: u64,
    party: Option<u64>,
}

/// A track, and its name if it is new.
pub(super) type Found = (u64, Option<String>);

impl Tracks {
    /// The track of a party. A party that registers again under its name gets its track again.
    pub(super) fn party(&mut self, party: u64, name: &str, level: i32) -> Found {
        if let Some((track, _)) = self.of.get(&party).filter(|_| party != 0) {
            return (*track, None);
        }
        if self.count >= MOST {
            // Of parties that are gone. Another of the same name gets a new track.
            self.parties.values_mut().for_each(|lanes| lanes.retain(|lane| lane.party.is_some()));
            self.parties.retain(|_, lanes| !lanes.is_empty());
            self.count = self.parties.values().map(Vec::len).sum();
        }
        let lanes = self.parties.entry((level, name.to_owned())).or_default();
        // Output of a driver's file does not say which party it is of: it belongs to the first of this name.
        let free = if party == 0 {
            0
        } else {
            lanes.iter().position(|lane| lane.party.is_none()).unwrap_or(lanes.len())
        };
        let new = free == lanes.len();
        if new {
            lanes.push(Lane { track: PARTIES + self.next, party: None });
            (self.next, self.count) = (self.next + 1, self.count + 1);
        }
        let track = lanes[free].track;
        if party != 0 {
            lanes[free].party = Some(party);
            self.of.insert(party, (track, (level, name.to_owned())));
        }
        (track, new.then(|| title(name, level, free)))
    }

    /// The track of a party of which only the name is known: an existing one, if there is one.
    pub(super) fn named(&mut self, name: &str) -> Found {
        let found = self.parties.iter().find(|((_, known), _)| known == name);
        match found.and_then(|(_, lanes)| lanes.first()) {
            Some(lane) => (lane.track, None),
            None => self.party(0, name, 0),
        }
    }

    /// The track that a registered party has.
    pub(super) fn of(&self, party: u64) -> Option<u64> {
        self.of.get(&party).map(|(track, _)| *track)
    }

    /// A party is gone: its track is free for another of the same name and level.
    pub(super) fn free(&mut self, party: u64) {
        let Some((_, key)) = self.of.remove(&party) else { return };
        let lanes = self.parties.get_mut(&key).into_iter().flatten();
        lanes.filter(|lane| lane.party == Some(party)).for_each(|lane| lane.party = None);
    }

    /// The track of a processor, unless there are too many.
    pub(super) fn processor(&mut self, id: u32) -> Option<Found> {
        if let Some(track) = self.processors.get(&id) {
            return Some((*track, None));
        }
        if self.processors.len() >= MOST {
            return None;
        }
        let track = PROCESSORS + u64::from(id);
        self.processors.insert(id, track);
        Some((track, Some(format!("processor {id}"))))
    }

    /// All tracks with their names.
    pub(super) fn all(&self) -> Vec<(u64, String)> {
        let parties = self.parties.iter().flat_map(|((level, name), lanes)| {
            let lanes = lanes.iter().enumerate();
            lanes.map(|(nth, lane)| (lane.track, title(name, *level, nth)))
        });
        let processors = self.processors.iter();
        let processors = processors.map(|(id, track)| (*track, format!("processor {id}")));
        parties.chain(processors).collect()
    }
}

fn title(name: &str, level: i32, nth: usize) -> String {
    let other = if nth == 0 { String::new() } else { format!(", {}", nth + 1) };
    format!("{name} (level {level}{other})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_that_comes_back_gets_its_track_and_two_of_one_name_do_not_share_one() {
        let mut tracks = Tracks::default();
        let (first, name) = tracks.party(1, "pool", 0);
        assert_eq!(name.as_deref(), Some("pool (level 0)"));
        assert_eq!(tracks.party(1, "pool", 0), (first, None));
        let (second, name) = tracks.party(2, "pool", 0);
        assert_ne!(first, second);
        assert_eq!(name.as_deref(), Some("pool (level 0, 2)"));
        tracks.free(1);
        assert_eq!(tracks.party(3, "pool", 0), (first, None));
        assert_ne!(tracks.party(4, "pool", 1).0, first, "another level");
        assert_eq!(tracks.named("pool"), (first, None));
    }

    #[test]
    fn parties_that_come_and_go_under_new_names_do_not_fill_the_memory() {
        let mut tracks = Tracks::default();
        for party in 1..=3 * MOST as u64 {
            tracks.party(party, &party.to_string(), 0);
            tracks.free(party);
        }
        assert!(tracks.parties.len() <= MOST && tracks.of.is_empty(), "{}", tracks.parties.len());
        let processors = (0..u32::MAX).step_by(1 << 18).filter_map(|id| tracks.processor(id));
        assert_eq!(processors.count(), MOST);
    }
}
