//! The variables that a run is given from outside: `--var`, files of them, settings, and the environment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Map;
use sternline::proto::text::escape;
use thiserror::Error;

use crate::data::Data;
use crate::modules::yaml::{YamlError, read_document};

/// The beginnings of the environment's variables that are meant for scripts. Of two the first one counts.
pub const ENVIRONMENT: [&str; 2] = ["STERNLINE_VAR_", "STARKITE_VAR_"];

/// What a file of settings says to the program, and not to scripts.
const RESERVED: [&str; 4] = ["project", "defaults", "providers", "active_edition"];

/// Why variables cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VariableError {
    /// What was given on the command line has no name or no `=`.
    #[error("invalid var format: {} (expected key=value)", escape(.0))]
    Format(String),
    /// A file is no YAML.
    #[error("{}: {error}", escape(.path))]
    Yaml {
        /// The file, as it was named.
        path: String,
        /// What is wrong, with its line.
        error: String,
    },
    /// A file holds something else than names with values.
    #[error("{}: variables are a mapping of names to values, such as `environment: prod`", escape(.0))]
    NoMapping(String),
}

/// Values with names, as they were given in one place: of several such layers a later one counts more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer(Map<String, Data>);

impl Layer {
    /// What `--var NAME=VALUE` gives. A value that begins with `[` or `{` and is JSON is a list or dict, all else is a text.
    ///
    /// # Errors
    /// When there is no `=`, or no name in front of it.
    pub fn from_argument(text: &str) -> Result<Self, VariableError> {
        let (name, value) = text
            .split_once('=')
            .map(|(name, value)| (name.trim(), value))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| VariableError::Format(text.to_owned()))?;
        let mut fields = Map::new();
        fields.insert(name.to_owned(), structured(value).unwrap_or_else(|| value.into()));
        Ok(Self(fields))
    }

    /// What a file of variables says: a mapping in YAML or JSON. `path` is its name, for messages.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_file(path: &str, text: &str) -> Result<Self, VariableError> {
        let of = |error: YamlError| VariableError::Yaml {
            path: path.to_owned(),
            error: error.to_string(),
        };
        match read_document(text).map_err(of)? {
            Data::Object(fields) => Ok(Self(fields)),
            Data::Null => Ok(Self::default()),
            _ => Err(VariableError::NoMapping(path.to_owned())),
        }
    }

    /// As [`Layer::from_file`], for a file of settings: what it says to the program is left out.
    ///
    /// # Errors
    /// As for [`Layer::from_file`].
    pub fn from_settings(path: &str, text: &str) -> Result<Self, VariableError> {
        let mut layer = Self::from_file(path, text)?;
        layer.0.retain(|name, _| !RESERVED.contains(&name.as_str()));
        Ok(layer)
    }
}

/// A list or an object, if the text is one.
fn structured(text: &str) -> Option<Data> {
    let is_one = text.trim_start().starts_with(['[', '{']);
    is_one.then(|| serde_json::from_str(text).ok()).flatten()
}

/// The variables of a run. What lies in mappings has names with dots too: `ssh.user` is `user` in `ssh`.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    named: BTreeMap<String, Data>,
    /// Those of the environment, by their names without the beginning, in capitals.
    environment: BTreeMap<String, Data>,
}

impl Variables {
    /// Puts layers together, the weakest first: settings of the user, settings of the project, files in the order in which
    /// they were named, and what the command line says. Mappings are merged. The environment counts less than all of them.
    #[must_use]
    pub fn from_layers<'a>(
        environment: impl IntoIterator<Item = (&'a String, &'a String)>,
        layers: impl IntoIterator<Item = Layer>,
    ) -> Self {
        let mut variables = Self::default();
        for (name, value) in environment {
            variables.add_environment(name, value);
        }
        for layer in layers {
            for (name, value) in layer.0 {
                variables.set(&name, value);
            }
        }
        variables
    }

    fn add_environment(&mut self, name: &str, value: &str) {
        let found = ENVIRONMENT
            .iter()
            .position(|beginning| name.starts_with(beginning));
        let Some((rank, beginning)) = found.and_then(|rank| Some((rank, ENVIRONMENT.get(rank)?))) else {
            return;
        };
        let Some(short) = name.strip_prefix(beginning).filter(|short| !short.is_empty()) else {
            return;
        };
        let value = structured(value).unwrap_or_else(|| value.into());
        let short = short.to_uppercase();
        if rank == 0 {
            self.environment.insert(short, value);
        } else {
            self.environment.entry(short).or_insert(value);
        }
    }

    /// Sets a variable, what lies in it, and its place in the mappings that its name leads through.
    fn set(&mut self, name: &str, value: Data) {
        // What lay in it before stays, where both are mappings.
        let value = match (self.named.remove(name), value) {
            (Some(Data::Object(old)), Data::Object(new)) => Data::Object(merged(old, new)),
            (_, new) => new,
        };
        if !value.is_object() {
            let inner = format!("{name}.");
            self.named.retain(|other, _| !other.starts_with(&inner));
        }
        self.flatten(name, &value);
        let mut outer = name;
        let mut inner = value;
        while let Some((before, field)) = outer.rsplit_once('.') {
            let Some(Data::Object(fields)) = self.named.get_mut(before) else {
                break;
            };
            fields.insert(field.to_owned(), inner);
            inner = Data::Object(fields.clone());
            outer = before;
        }
    }

    fn flatten(&mut self, name: &str, value: &Data) {
        if let Data::Object(fields) = value {
            for (field, value) in fields {
                self.flatten(&format!("{name}.{field}"), value);
            }
        }
        self.named.insert(name.to_owned(), value.clone());
    }

    /// A variable. One of the environment is found by the name in capitals, with `_` for whatever is no letter or digit.
    pub(crate) fn get(&self, name: &str) -> Option<&Data> {
        self.named
            .get(name)
            .or_else(|| self.environment.get(&in_environment(name)))
    }

    /// All names, sorted. Those of the environment are in small letters, with dots for `_`.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.named.keys().cloned().collect();
        let known: BTreeSet<String> = self.named.keys().map(|name| in_environment(name)).collect();
        for name in self.environment.keys().filter(|name| !known.contains(*name)) {
            names.insert(name.to_lowercase().replace('_', "."));
        }
        names.into_iter().collect()
    }
}

fn in_environment(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect::<String>()
        .to_uppercase()
}

fn merged(mut old: Map<String, Data>, new: Map<String, Data>) -> Map<String, Data> {
    for (name, value) in new {
        let value = match (old.remove(&name), value) {
            (Some(Data::Object(old)), Data::Object(new)) => Data::Object(merged(old, new)),
            (_, new) => new,
        };
        old.insert(name, value);
    }
    old
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(text: &str) -> Layer {
        Layer::from_file("vars.yaml", text).unwrap()
    }

    fn argument(text: &str) -> Layer {
        Layer::from_argument(text).unwrap()
    }

    fn shown(variables: &Variables, name: &str) -> String {
        variables
            .get(name)
            .map_or_else(|| "nothing".to_owned(), Data::to_string)
    }

    #[test]
    fn arguments_are_texts_or_json() {
        for (text, json) in [
            ("a=b", r#"{"a":"b"}"#),
            ("a=", r#"{"a":""}"#),
            ("a=b=c", r#"{"a":"b=c"}"#),
            ("a=1", r#"{"a":"1"}"#),
            ("a=[1, \"x\"]", r#"{"a":[1,"x"]}"#),
            ("a={\"b\": true}", r#"{"a":{"b":true}}"#),
            ("a=[no json", r#"{"a":"[no json"}"#),
        ] {
            assert_eq!(Data::Object(argument(text).0).to_string(), json);
        }
        for text in ["a", "", "=b", " =b"] {
            let message = format!("invalid var format: {text} (expected key=value)");
            assert_eq!(Layer::from_argument(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn files_are_mappings() {
        assert_eq!(file(""), Layer::default());
        let error = Layer::from_file("v.yaml", "- a").unwrap_err();
        assert!(error.to_string().starts_with("v.yaml: variables are a mapping"));
        let error = Layer::from_file("v.yaml", "a: 1\na: 2").unwrap_err();
        assert!(
            error.to_string().starts_with("v.yaml: line 2: the key a"),
            "{error}"
        );
        let settings =
            Layer::from_settings("c.yaml", "project: {name: x}\nproviders: {}\nenvironment: dev\n");
        assert_eq!(settings, Ok(file("environment: dev")));
    }

    #[test]
    fn the_later_layer_counts_and_mappings_are_merged() {
        let variables = Variables::from_layers(
            [],
            [
                file("ssh: {user: deploy, port: 22}\nlabels: {a: 1}\nreplicas: 3\n"),
                file("ssh: {port: 2222}\nlabels: none\n"),
                argument("ssh.user=root"),
                argument("new.name=x"),
            ],
        );
        for (name, value) in [
            ("ssh", r#"{"user":"root","port":2222}"#),
            ("ssh.user", "\"root\""),
            ("ssh.port", "2222"),
            ("labels", "\"none\""),
            ("labels.a", "nothing"),
            ("replicas", "3"),
            ("new.name", "\"x\""),
            ("new", "nothing"),
        ] {
            assert_eq!(shown(&variables, name), value, "{name}");
        }
        assert_eq!(
            variables.names(),
            ["labels", "new.name", "replicas", "ssh", "ssh.port", "ssh.user"]
        );
    }

    #[test]
    fn the_environment_counts_less_than_everything_else() {
        let environment = BTreeMap::from([
            ("STARKITE_VAR_DATABASE_HOST".to_owned(), "old".to_owned()),
            ("STERNLINE_VAR_DATABASE_HOST".to_owned(), "pg.local".to_owned()),
            ("STARKITE_VAR_max_parallel".to_owned(), "5".to_owned()),
            ("STARKITE_VAR_REGION".to_owned(), "eu".to_owned()),
            ("STARKITE_VAR_".to_owned(), "x".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ]);
        let variables = Variables::from_layers(&environment, [file("region: us")]);
        for (name, value) in [
            ("database.host", "\"pg.local\""),
            ("database_host", "\"pg.local\""),
            ("max-parallel", "\"5\""),
            ("max_parallel", "\"5\""),
            ("region", "\"us\""),
            ("PATH", "nothing"),
            ("", "nothing"),
        ] {
            assert_eq!(shown(&variables, name), value, "{name}");
        }
        assert_eq!(variables.names(), ["database.host", "max.parallel", "region"]);
    }

    proptest! {
        #[test]
        fn what_an_argument_sets_is_found(name in "[a-c](\\.[a-c]){0,3}", before in "[a-c](\\.[a-c]){0,3}", value in "[a-z]{0,5}") {
            let variables = Variables::from_layers([], [
                argument(&format!("{before}={{\"a\": {{\"b\": 1}}}}")),
                argument(&format!("{name}={value}")),
            ]);
            prop_assert_eq!(variables.get(&name), Some(&Data::String(value.clone())));
            // The mapping around it says the same.
            if let Some((outer, field)) = name.rsplit_once('.') && let Some(Data::Object(fields)) = variables.get(outer) {
                prop_assert_eq!(fields.get(field), Some(&Data::String(value)));
            }
        }
    }
}
