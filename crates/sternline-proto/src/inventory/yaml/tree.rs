//! A document as a tree whose nodes know their lines. It is bounded: in depth, and in what aliases may repeat.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::super::error::{InventoryError, Problem};
use super::super::value::{Value, vaulted};
use super::scalar;
use crate::ssh_config::{Source, Sourced};

/// How deep a document may be nested.
const MAX_DEPTH: usize = 64;

/// How many nodes all aliases together may repeat. A few lines can stand for billions of them.
const MAX_REPEATED: usize = 1_000_000;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
    /// How many nodes it is, itself included.
    size: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// A text, a number, or whatever a scalar may be.
    Scalar(Value),
    /// What `<<` is when it is a key.
    Merge,
    List(Vec<Node>),
    /// Each key once.
    Map(Vec<(Node, Node)>),
}

impl Node {
    fn new(line: usize, content: Content) -> Self {
        let size = match &content {
            Content::Scalar(_) | Content::Merge => 1,
            Content::List(items) => items.iter().fold(1, |size, item| size + item.size),
            Content::Map(fields) => fields
                .iter()
                .fold(1, |size, (key, value)| size + key.size + value.size),
        };
        Self { line, content, size }
    }

    pub(super) fn is_null(&self) -> bool {
        self.content == Content::Scalar(Value::Null)
    }

    /// What a person would call it.
    pub(super) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::String(_)) => "a text",
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a truth value",
            Content::Scalar(Value::Object(_)) => "an encrypted value",
            Content::Scalar(_) => "a number",
            Content::Merge => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    /// The text of a key, as Ansible's output would name it.
    pub(super) fn key(&self) -> Option<String> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text.clone()),
            Content::Scalar(Value::Number(number)) => Some(number.to_string()),
            Content::Scalar(Value::Bool(value)) => Some(value.to_string()),
            Content::Scalar(Value::Null) => Some("null".to_owned()),
            _ => None,
        }
    }

    /// The node without its lines.
    pub(super) fn into_value(self) -> Value {
        match self.content {
            Content::Scalar(value) => value,
            Content::Merge => "<<".into(),
            Content::List(items) => Value::Array(items.into_iter().map(Self::into_value).collect()),
            Content::Map(fields) => {
                let fields = fields.into_iter();
                Value::Object(
                    fields
                        .filter_map(|(key, value)| Some((key.key()?, value.into_value())))
                        .collect(),
                )
            }
        }
    }
}

/// Reads the one document of a text. `None` when there is nothing in it. Warnings tell of keys that stand twice.
pub(super) fn parse(
    file: &Arc<str>,
    text: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<Node>, InventoryError> {
    let mut builder = Builder {
        file,
        open: Vec::new(),
        anchors: HashMap::new(),
        repeated: 0,
        document: None,
        warnings,
    };
    // A mark at the begin of a file is no content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| builder.error(error.marker().line(), error.info().to_owned()))?;
        builder.event(event, span.start.line())?;
    }
    Ok(builder.document.filter(|node| !node.is_null()))
}

/// A list or mapping whose end has not come yet.
struct Open {
    line: usize,
    anchor: usize,
    content: OpenContent,
}

enum OpenContent {
    List(Vec<Node>),
    Map {
        fields: Vec<(Node, Node)>,
        key: Option<Node>,
    },
}

struct Builder<'a> {
    file: &'a Arc<str>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    repeated: usize,
    document: Option<Node>,
    warnings: &'a mut Vec<String>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), InventoryError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = self.scalar(&text, style, tag.as_deref(), line)?;
                self.put(Node::new(line, content), anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error(line, "an alias stands inside of what it repeats".to_owned()));
                };
                self.repeated = self.repeated.saturating_add(node.size);
                if self.repeated > MAX_REPEATED {
                    return Err(self.too_much(line, MAX_REPEATED, "values that aliases repeat"));
                }
                self.put(node, 0)
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), line)?;
                self.begin(line, anchor, OpenContent::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), line)?;
                let fields = Vec::new();
                self.begin(line, anchor, OpenContent::Map { fields, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let content = match open.content {
                    OpenContent::List(items) => Content::List(items),
                    OpenContent::Map { fields, .. } => Content::Map(self.merged(fields)?),
                };
                self.put(Node::new(open.line, content), open.anchor)
            }
            Event::DocumentStart(_) if self.document.is_some() => Err(self.error(
                line,
                "a second document begins here, and only one is read".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, content: OpenContent) -> Result<(), InventoryError> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.too_much(line, MAX_DEPTH, "levels"));
        }
        self.open.push(Open {
            line,
            anchor,
            content,
        });
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), InventoryError> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.document = Some(node),
            Some(OpenContent::List(items)) => items.push(node),
            Some(OpenContent::Map { fields, key }) => match key.take() {
                None => {
                    if !matches!(node.content, Content::Scalar(_) | Content::Merge) {
                        return Err(self.error(node.line, format!("{} cannot be a key", node.kind())));
                    }
                    *key = Some(node);
                }
                Some(key) => fields.push((key, node)),
            },
        }
        Ok(())
    }

    /// The fields, each key once, with what `<<` brings in where there is no field of its own. Of two equal keys the last
    /// one counts.
    fn merged(&mut self, fields: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, InventoryError> {
        let mut merged: Vec<(Node, Node)> = Vec::with_capacity(fields.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        let (merges, own): (Vec<_>, Vec<_>) = fields
            .into_iter()
            .partition(|(key, _)| key.content == Content::Merge);
        let mut brought: Vec<(Node, Node)> = Vec::new();
        for (key, value) in merges {
            let maps = match value.content {
                Content::List(items) => items,
                _ => vec![value],
            };
            // Of several, the first one counts most.
            for map in maps.into_iter().rev() {
                match map.content {
                    Content::Map(fields) => brought.extend(fields),
                    _ => {
                        return Err(
                            self.error(key.line, format!("<< takes mappings, and this is {}", map.kind()))
                        );
                    }
                }
            }
        }
        let first_own = brought.len();
        for (index, (key, value)) in brought.into_iter().chain(own).enumerate() {
            let name = key.key().unwrap_or_default();
            match places.get(&name).copied() {
                None => {
                    places.insert(name, merged.len());
                    merged.push((key, value));
                }
                Some(at) => {
                    if let Some(slot) = merged.get_mut(at) {
                        if index >= first_own && at >= first_own {
                            let warning = format!(
                                "{}:{}: the key {} stands twice, and the last one counts",
                                crate::text::escape(self.file),
                                key.line,
                                crate::text::escape(&name)
                            );
                            self.warnings.push(warning);
                        }
                        *slot = (key, value);
                    }
                }
            }
        }
        Ok(merged)
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<Content, InventoryError> {
        let is_plain = style == ScalarStyle::Plain;
        let Some(tag) = tag else {
            return Ok(match is_plain {
                true if text == "<<" => Content::Merge,
                true => Content::Scalar(scalar::resolve(text)),
                false => Content::Scalar(text.into()),
            });
        };
        let kind = match (tag.handle.as_str(), tag.suffix.as_str()) {
            ("!", "vault" | "vault-encrypted") => return Ok(Content::Scalar(vaulted(text))),
            ("!", "unsafe") | ("", "!") => "str",
            ("!", "") => "str",
            (handle, suffix) if handle.contains("yaml.org,2002") => suffix,
            (handle, suffix) => return Err(self.unknown_tag(line, &format!("{handle}{suffix}"))),
        };
        let resolved = scalar::resolve(text);
        match (kind, &resolved) {
            ("str" | "timestamp" | "binary", _) => Ok(Content::Scalar(text.into())),
            ("null", _) => Ok(Content::Scalar(Value::Null)),
            ("bool", Value::Bool(_)) | ("int" | "float", Value::Number(_)) => Ok(Content::Scalar(resolved)),
            ("bool" | "int" | "float", _) => {
                Err(self.error(line, format!("{text} is not of the type {kind}")))
            }
            (other, _) => Err(self.unknown_tag(line, other)),
        }
    }

    fn collection_tag(&self, tag: Option<&Tag>, line: usize) -> Result<(), InventoryError> {
        match tag {
            None => Ok(()),
            Some(tag)
                if tag.handle.contains("yaml.org,2002")
                    && ["map", "seq", "omap", "set"].contains(&tag.suffix.as_str()) =>
            {
                Ok(())
            }
            Some(tag) if tag.handle == "!" && ["", "unsafe"].contains(&tag.suffix.as_str()) => Ok(()),
            Some(tag) => Err(self.unknown_tag(line, &format!("{}{}", tag.handle, tag.suffix))),
        }
    }

    fn unknown_tag(&self, line: usize, tag: &str) -> InventoryError {
        self.error(
            line,
            format!("the tag {tag} is not known: only !vault and !unsafe are, and YAML's own"),
        )
    }

    fn error(&self, line: usize, reason: String) -> InventoryError {
        InventoryError {
            place: self.place(line),
            problem: Problem::Syntax { reason },
        }
    }

    fn too_much(&self, line: usize, limit: usize, what: &'static str) -> InventoryError {
        InventoryError {
            place: self.place(line),
            problem: Problem::TooMuch { limit, what },
        }
    }

    fn place(&self, line: usize) -> Source {
        Source::File {
            path: Arc::clone(self.file),
            line,
        }
    }
}

/// A node that stands for nothing.
pub(super) fn null(line: usize) -> Node {
    Node::new(line, Content::Scalar(Value::Null))
}

/// A node's value with its place.
pub(super) fn sourced(file: &Arc<str>, node: Node) -> Sourced<Value> {
    Sourced {
        source: Source::File {
            path: Arc::clone(file),
            line: node.line,
        },
        value: node.into_value(),
    }
}

#[cfg(test)]
mod tests;
