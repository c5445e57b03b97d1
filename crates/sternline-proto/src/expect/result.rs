//! What waiting for output came to.

use serde_json::{Map, Value};

use super::nearest::Nearest;
use super::pattern::ExpectPattern;

/// What came of waiting for a pattern.
///
/// Not matched means that the output ended, if `timed_out` is not set.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectResult {
    /// Whether a pattern was found.
    pub matched: bool,
    /// Which one. Without a match, the one that came nearest.
    pub pattern: ExpectPattern,
    /// What matched.
    pub match_text: String,
    /// What the groups of a regular expression matched, from group 1; `None` for a group that took no part.
    pub groups: Vec<Option<String>>,
    /// The output that the match used up, through its end. Without a match, what has been there in vain, and still is.
    pub buffer: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Whether the time was over.
    pub timed_out: bool,
    /// Without a match, what came nearest to one.
    pub nearest: Option<Nearest>,
}

impl ExpectResult {
    /// What a group matched, from 1; 0 is the whole match.
    #[must_use]
    pub fn group(&self, number: usize) -> Option<&str> {
        match number.checked_sub(1) {
            None => self.matched.then_some(self.match_text.as_str()),
            Some(place) => self.groups.get(place)?.as_deref(),
        }
    }

    /// What stands in the buffer before the match.
    #[must_use]
    pub fn before(&self) -> &str {
        self.buffer
            .strip_suffix(self.match_text.as_str())
            .unwrap_or(&self.buffer)
    }

    /// The fields by name, without the buffer. `nearest` is there without a match only.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        let mut put = |name: &str, value: Value| dict.insert(name.to_owned(), value);
        put("matched", self.matched.into());
        put("pattern", self.pattern.pattern().into());
        put("pattern_type", self.pattern.pattern_type().as_str().into());
        put("pattern_name", self.pattern.name().into());
        put("match_text", self.match_text.clone().into());
        put("groups", self.groups.clone().into());
        put("duration_ms", self.duration_ms.into());
        put("timed_out", self.timed_out.into());
        if let Some(nearest) = &self.nearest {
            put("nearest", nearest.to_string().into());
        }
        dict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_result_tells_its_fields_by_name() {
        let result = ExpectResult {
            matched: true,
            pattern: ExpectPattern::regex("(a)(b)?").unwrap().named("letters"),
            match_text: "a".into(),
            groups: vec![Some("a".into()), None],
            buffer: "xxa".into(),
            duration_ms: 1.5,
            timed_out: false,
            nearest: None,
        };
        assert_eq!(
            Value::Object(result.to_dict()).to_string(),
            json!({
                "matched": true, "pattern": "(a)(b)?", "pattern_type": "regex", "pattern_name": "letters",
                "match_text": "a", "groups": ["a", null], "duration_ms": 1.5, "timed_out": false,
            })
            .to_string()
        );
        assert_eq!(
            (result.group(0), result.group(1), result.group(2)),
            (Some("a"), Some("a"), None)
        );
        assert_eq!((result.group(9), result.before()), (None, "xx"));
    }
}
