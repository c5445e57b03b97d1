//! What a difference says.

use serde_json::{Value, json};

/// How much a difference matters for the outcome. What matters more is less: it stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// It is the outcome.
    Decisive,
    /// It may well be why the outcome is another one.
    Likely,
    /// It is worth a look.
    Notable,
    /// It is there, and hardly matters.
    Minor,
}

impl Weight {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decisive => "decisive",
            Self::Likely => "likely",
            Self::Notable => "notable",
            Self::Minor => "minor",
        }
    }
}

/// What a difference is about. Of those that weigh the same, they stand in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Area {
    /// What became of it.
    Outcome,
    /// Which host was to be reached as whom, and which way.
    Target,
    /// Where the name led.
    Addresses,
    /// Who the server is: its key, its version, what it says.
    Server,
    /// The negotiated algorithms.
    Algorithms,
    /// What was offered to log in, and what the server took.
    Login,
    /// Commands, and how they ended.
    Commands,
    /// Settings of the side that connects.
    Configuration,
    /// The program and the machine that connects.
    Environment,
    /// How long it took.
    Timing,
}

impl Area {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Target => "target",
            Self::Addresses => "addresses",
            Self::Server => "server",
            Self::Algorithms => "algorithms",
            Self::Login => "login",
            Self::Commands => "commands",
            Self::Configuration => "configuration",
            Self::Environment => "environment",
            Self::Timing => "timing",
        }
    }

    /// The phases that it has a part in.
    pub(super) fn phases(self) -> &'static [&'static str] {
        match self {
            Self::Outcome | Self::Configuration | Self::Environment | Self::Timing => &[],
            Self::Target => &["proxy", "resolve", "tcp", "banner", "host_key", "auth"],
            Self::Addresses => &["resolve", "tcp", "banner", "host_key"],
            Self::Server => &["banner", "kex", "host_key", "auth"],
            Self::Algorithms => &["kex"],
            Self::Login => &["auth"],
            Self::Commands => &["exec"],
        }
    }
}

/// One thing that is not the same.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// How much it matters.
    pub weight: Weight,
    /// What it is about.
    pub area: Area,
    /// Its name, such as `host key` or `identities_only`; safe to show.
    pub name: String,
    /// How it was before; `None` where there was no such thing. Safe to show.
    pub before: Option<String>,
    /// How it is after; `None` where there is no such thing. Safe to show.
    pub after: Option<String>,
    /// What that may mean, as a sentence.
    pub note: Option<String>,
}

impl Difference {
    /// One JSON object with a key for each field.
    #[must_use]
    pub fn to_dict(&self) -> Value {
        json!({
            "weight": self.weight.as_str(), "area": self.area.as_str(), "name": self.name,
            "before": self.before, "after": self.after, "note": self.note,
        })
    }
}

/// One JSON object: `schema`, `same`, and the `differences` in their order.
#[must_use]
pub fn differences_to_dict(differences: &[Difference]) -> Value {
    json!({
        "schema": "sternline.evidence.diff/1",
        "same": differences.is_empty(),
        "differences": differences.iter().map(Difference::to_dict).collect::<Vec<_>>(),
    })
}

/// Differences while they are found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) list: Vec<Difference>,
    /// The phase in which the one that failed did so, where the two ended differently.
    pub(super) failed_in: Option<String>,
}

impl Found {
    /// Adds a difference. One that has a part in the phase which failed weighs more.
    pub(super) fn add(&mut self, difference: Difference) {
        self.list.push(difference);
    }

    /// Whether something of an area has a part in the phase that failed.
    pub(super) fn matters(&self, phases: &[&str]) -> bool {
        self.failed_in
            .as_deref()
            .is_some_and(|failed| phases.contains(&failed))
    }

    /// Compares two values.
    pub(super) fn value(
        &mut self,
        area: Area,
        name: &str,
        before: Option<String>,
        after: Option<String>,
    ) -> bool {
        self.weighed(self.weight(area), area, name, before, after)
    }

    pub(super) fn weighed(
        &mut self,
        weight: Weight,
        area: Area,
        name: &str,
        before: Option<String>,
        after: Option<String>,
    ) -> bool {
        if before == after {
            return false;
        }
        self.add(Difference {
            weight,
            area,
            name: name.to_owned(),
            before,
            after,
            note: None,
        });
        true
    }

    /// How much a difference of an area matters.
    pub(super) fn weight(&self, area: Area) -> Weight {
        match area {
            Area::Outcome => Weight::Decisive,
            area if self.matters(area.phases()) => Weight::Likely,
            Area::Environment => Weight::Minor,
            _ => Weight::Notable,
        }
    }

    /// Says what the last difference may mean.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        if let Some(last) = self.list.last_mut() {
            last.note = Some(note.into());
        }
    }
}
