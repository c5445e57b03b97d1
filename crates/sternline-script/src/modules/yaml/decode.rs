//! From a text of YAML to data. What it takes is bounded: how deep it goes, and what aliases may repeat.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::Map;
use sternline::proto::text::escape;
use thiserror::Error;

use super::scalar::resolve;
use crate::data::{Data, MAX_DEPTH};

/// How many values all aliases together may repeat. A few lines can stand for billions of them.
const MAX_REPEATED: usize = 1_000_000;

/// Why a text is no YAML that we read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub(crate) struct YamlError {
    line: usize,
    reason: String,
}

/// The one document of a text; nothing is null.
///
/// # Errors
/// When it is no YAML, too deep, or holds several documents.
pub(crate) fn decode(text: &str) -> Result<Data, YamlError> {
    let (mut documents, second) = read(text)?;
    if let Some(line) = second {
        let reason = "a second document begins here; read all of them with decode_all".to_owned();
        return Err(YamlError { line, reason });
    }
    Ok(documents.pop().unwrap_or(Data::Null))
}

/// All documents of a text.
///
/// # Errors
/// When it is no YAML, or too deep.
pub(crate) fn decode_all(text: &str) -> Result<Vec<Data>, YamlError> {
    Ok(read(text)?.0)
}

/// The documents, and the line in which the second one begins.
fn read(text: &str) -> Result<(Vec<Data>, Option<usize>), YamlError> {
    let mut builder = Builder::default();
    let mut second = None;
    // A mark at the beginning of a file is no content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: error.marker().line(),
            reason: escape(error.info()),
        })?;
        let line = span.start.line();
        if matches!(event, Event::DocumentStart(_)) && !builder.documents.is_empty() {
            second.get_or_insert(line);
        }
        builder
            .event(event, line)
            .map_err(|reason| YamlError { line, reason })?;
    }
    Ok((builder.documents, second))
}

#[derive(Debug, Clone)]
struct Node {
    data: Data,
    /// How many values it is, itself included.
    size: usize,
    /// How many levels it has.
    depth: usize,
    is_merge: bool,
}

/// A list or mapping whose end has not come yet.
struct Open {
    anchor: usize,
    size: usize,
    depth: usize,
    content: Content,
}

enum Content {
    List(Vec<Data>),
    Map {
        fields: Map<String, Data>,
        /// What `<<` brings in, where there is no field of its own.
        merged: Map<String, Data>,
        key: Option<Key>,
    },
}

enum Key {
    Name(String),
    Merge,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    repeated: usize,
    documents: Vec<Data>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, _line: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let data = scalar(&text, is_plain, tag.as_deref())?;
                let is_merge = is_plain && tag.is_none() && text == "<<";
                self.put(
                    Node {
                        data,
                        size: 1,
                        depth: 0,
                        is_merge,
                    },
                    anchor,
                )
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err("an alias stands inside of what it repeats".to_owned());
                };
                self.repeated = self.repeated.saturating_add(node.size);
                if self.repeated > MAX_REPEATED {
                    return Err(format!("aliases repeat more than {MAX_REPEATED} values"));
                }
                let node = node.clone();
                self.put(node, 0)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                self.begin(anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                let (fields, merged) = (Map::new(), Map::new());
                self.begin(
                    anchor,
                    Content::Map {
                        fields,
                        merged,
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                None => Ok(()),
                Some(open) => {
                    let data = match open.content {
                        Content::List(items) => Data::Array(items),
                        Content::Map {
                            mut fields, merged, ..
                        } => {
                            for (name, value) in merged {
                                fields.entry(name).or_insert(value);
                            }
                            Data::Object(fields)
                        }
                    };
                    let (size, depth) = (open.size, open.depth + 1);
                    self.put(
                        Node {
                            data,
                            size,
                            depth,
                            is_merge: false,
                        },
                        open.anchor,
                    )
                }
            },
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, content: Content) -> Result<(), String> {
        self.open.push(Open {
            anchor,
            size: 1,
            depth: 0,
            content,
        });
        self.check_depth(0)
    }

    fn check_depth(&self, below: usize) -> Result<(), String> {
        if self.open.len() + below > MAX_DEPTH {
            return Err(format!("values lie more than {MAX_DEPTH} deep in one another"));
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.check_depth(node.depth)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node.data);
            return Ok(());
        };
        open.size += node.size;
        open.depth = open.depth.max(node.depth);
        match &mut open.content {
            Content::List(items) => items.push(node.data),
            Content::Map { fields, merged, key } => match key.take() {
                None => {
                    *key = Some(if node.is_merge {
                        Key::Merge
                    } else {
                        Key::Name(name(node.data)?)
                    })
                }
                Some(Key::Merge) => merge(merged, node.data)?,
                Some(Key::Name(name)) => {
                    let shown = escape(&name);
                    if fields.insert(name, node.data).is_some() {
                        return Err(format!("the key {shown} stands twice in one mapping"));
                    }
                }
            },
        }
        Ok(())
    }
}

/// Takes in what `<<` names: a mapping, or a list of them, of which the first counts most.
fn merge(merged: &mut Map<String, Data>, data: Data) -> Result<(), String> {
    let maps = match data {
        Data::Array(maps) => maps,
        map => vec![map],
    };
    for map in maps {
        let Data::Object(fields) = map else {
            return Err("<< takes mappings".to_owned());
        };
        for (name, value) in fields {
            merged.entry(name).or_insert(value);
        }
    }
    Ok(())
}

/// The text of a key.
fn name(data: Data) -> Result<String, String> {
    match data {
        Data::String(text) => Ok(text),
        Data::Null => Ok("null".to_owned()),
        Data::Bool(truth) => Ok(truth.to_string()),
        Data::Number(number) => Ok(number.to_string()),
        Data::Array(_) | Data::Object(_) => Err("a list or mapping cannot be a key".to_owned()),
    }
}

fn scalar(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Data, String> {
    let Some(tag) = tag else {
        return if is_plain { resolve(text) } else { Ok(text.into()) };
    };
    let kind = match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "") | ("", "!") => "str",
        (handle, suffix) if handle.contains("yaml.org,2002") => suffix,
        _ => return Err(unknown_tag(tag)),
    };
    let data = match kind {
        "str" => return Ok(text.into()),
        "null" | "bool" | "int" | "float" => resolve(text)?,
        _ => return Err(unknown_tag(tag)),
    };
    let fits = match (kind, &data) {
        ("null", Data::Null) | ("bool", Data::Bool(_)) => true,
        ("int", Data::Number(number)) => !number.is_f64(),
        ("float", Data::Number(number)) => {
            // A whole number is a float when it is said to be one.
            let float = number.as_f64().and_then(serde_json::Number::from_f64);
            return float
                .map(Data::Number)
                .ok_or_else(|| format!("{} is no float", escape(text)));
        }
        _ => false,
    };
    match fits {
        true => Ok(data),
        false => Err(format!("{} is not of the type {kind}", escape(text))),
    }
}

fn collection_tag(tag: Option<&Tag>, kind: &str) -> Result<(), String> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.handle.contains("yaml.org,2002") && tag.suffix == kind => Ok(()),
        Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Ok(()),
        Some(tag) => Err(unknown_tag(tag)),
    }
}

fn unknown_tag(tag: &Tag) -> String {
    format!(
        "the tag {}{} is not known: only YAML's own are",
        escape(&tag.handle),
        escape(&tag.suffix)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        decode(text).map_or_else(|error| error.to_string(), |data| data.to_string())
    }

    #[test]
    fn documents_become_data_in_their_order() {
        for (text, data) in [
            ("", "null"),
            ("# nothing", "null"),
            ("a: 1\nb: [x, 2.5, true]\n", r#"{"a":1,"b":["x",2.5,true]}"#),
            (
                "z: 1\na:\n  - b: 2\n    c: \"3\"\n",
                r#"{"z":1,"a":[{"b":2,"c":"3"}]}"#,
            ),
            ("'yes': !!str 1\n1: yes\n", r#"{"yes":"1","1":"yes"}"#),
            ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{"a":"x\ny\n","b":"x y"}"#),
            ("a: &x {b: 1}\nc: *x\n", r#"{"a":{"b":1},"c":{"b":1}}"#),
            (
                "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n",
                r#"{"a":{"b":1,"c":2},"d":{"c":3,"b":1}}"#,
            ),
            ("{\"a\": [1, null]}", r#"{"a":[1,null]}"#),
            ("\u{feff}a: 1", r#"{"a":1}"#),
            ("!!float 1", "1.0"),
        ] {
            assert_eq!(json(text), data, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, part) in [
            ("a: 1\na: 2\n", 2, "the key a stands twice"),
            ("a: [1", 1, ""),
            ("a: 1\n---\nb: 2\n", 2, "decode_all"),
            ("a:\n  - !secret x\n", 2, "the tag !secret is not known"),
            ("!!int x", 1, "not of the type int"),
            ("? [a]\n: 1\n", 1, "cannot be a key"),
            ("a: .inf", 1, "no finite number"),
            ("<<: 1", 1, "takes mappings"),
        ] {
            let error = decode(text).unwrap_err();
            assert!(error.reason.contains(part), "{text}: {error}");
            assert!(error.line >= line, "{text}: {error}");
        }
    }

    #[test]
    fn several_documents_are_read_when_they_are_asked_for() {
        let documents = decode_all("a: 1\n---\nb: 2\n").unwrap();
        assert_eq!(Data::Array(documents).to_string(), r#"[{"a":1},{"b":2}]"#);
        assert_eq!(decode_all("").unwrap(), Vec::<Data>::new());
    }

    #[test]
    fn aliases_cannot_grow_without_end() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            text.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                [alias.as_str(); 10].join(", ")
            ));
        }
        assert!(decode(&text).unwrap_err().reason.contains("aliases repeat"));
    }

    #[test]
    fn neither_nesting_nor_aliases_go_too_deep() {
        assert!(decode(&"[".repeat(1000)).is_err());
        let mut text = format!("a0: &a0 {}{}\n", "[".repeat(60), "]".repeat(60));
        for level in 1..5 {
            text.push_str(&format!(
                "a{level}: &a{level} {}*a{}{}\n",
                "[".repeat(60),
                level - 1,
                "]".repeat(60)
            ));
        }
        assert!(decode(&text).unwrap_err().reason.contains("deep"));
    }
}
