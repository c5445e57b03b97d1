//! From lines to settings: blocks, includes, and the rule that the first value wins.

use std::collections::HashSet;
use std::sync::Arc;

use super::error::{ConfigError, Problem};
use super::keyword::{Keyword, lookup};
use super::lexer::{Line, split};
use super::options::{IdentityAgent, Options, Source, Sourced};
use super::pattern::list_fits;
use super::proxy::{Proxies, ProxyTokens};
use super::query::{Env, Query};
use super::token::{expand, expand_home};
use super::value;
use crate::target::{check_host, check_user};

/// How deep includes may be nested; ssh's own limit.
const MAX_INCLUDE_DEPTH: usize = 16;

/// Finds the settings for one host: the first value of each option wins, `-o` before `user` and `port` before the inventory before
/// files.
///
/// # Errors
/// The first line that ssh would refuse, and the first one that applies to the host and cannot be obeyed; see
/// [`Problem`]. With `-o` every option has to be a supported one.
pub fn resolve(query: &Query<'_>, env: &dyn Env) -> Result<Options, ConfigError> {
    let mut resolver = Resolver::new(query, env);
    for option in query.options {
        resolver.line(option, &Source::CommandLine, &mut Block::outermost(""))?;
    }
    if let Some(user) = query.user {
        first(
            &mut resolver.options.user,
            true,
            user.to_owned(),
            &Source::CommandLine,
        );
    }
    if let Some(port) = query.port {
        first(&mut resolver.options.port, true, port, &Source::CommandLine);
    }
    for setting in query.inventory {
        resolver.line(&setting.value, &setting.source, &mut Block::outermost(""))?;
    }
    for file in query.files {
        resolver.file(
            &file.path,
            &file.text,
            &mut Block::outermost(&file.include_directory),
        )?;
    }
    resolver.finish()
}

/// Where the reader stands.
#[derive(Clone, Copy)]
struct Block<'a> {
    /// Whether the lines apply to the host.
    applies: bool,
    /// Whether no line can apply, as the whole file was included from a block that does not.
    never: bool,
    /// How many files have included this one.
    depth: usize,
    include_directory: &'a str,
}

impl<'a> Block<'a> {
    fn outermost(include_directory: &'a str) -> Self {
        Self {
            applies: true,
            never: false,
            depth: 0,
            include_directory,
        }
    }
}

struct Resolver<'a> {
    query: &'a Query<'a>,
    env: &'a dyn Env,
    /// The settings so far; `host_name` and the paths are not expanded yet.
    options: Options,
    host_name: Option<Sourced<String>>,
    proxies: Proxies,
    /// The patterns of `IgnoreUnknown`, in lower case.
    ignore_unknown: Option<Sourced<String>>,
    /// Options that are not supported and had a harmless value first, which wins over whatever follows.
    harmless: HashSet<String>,
}

/// Keeps a value if it applies and is the first.
fn first<T>(slot: &mut Option<Sourced<T>>, applies: bool, value: T, source: &Source) {
    if applies && slot.is_none() {
        *slot = Some(Sourced {
            value,
            source: source.clone(),
        });
    }
}

impl<'a> Resolver<'a> {
    fn new(query: &'a Query<'a>, env: &'a dyn Env) -> Self {
        let options = Options {
            host_name: Sourced {
                value: query.host.to_owned(),
                source: Source::CommandLine,
            },
            user: None,
            port: None,
            identity_files: None,
            identities_only: None,
            identity_agent: None,
            user_known_hosts_files: None,
            strict_host_key_checking: None,
            batch_mode: None,
            connect_timeout: None,
            server_alive_interval: None,
            server_alive_count_max: None,
            proxy: None,
            ignored: Vec::new(),
        };
        Self {
            query,
            env,
            options,
            host_name: None,
            proxies: Proxies::default(),
            ignore_unknown: None,
            harmless: HashSet::new(),
        }
    }

    fn file(&mut self, path: &str, text: &str, block: &mut Block<'_>) -> Result<(), ConfigError> {
        let path: Arc<str> = path.into();
        for (index, line) in text.split('\n').enumerate() {
            self.line(
                line,
                &Source::File {
                    path: path.clone(),
                    line: index + 1,
                },
                block,
            )?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, place: &Source, block: &mut Block<'_>) -> Result<(), ConfigError> {
        let at = |problem| ConfigError {
            place: place.clone(),
            problem,
        };
        let Some(line) = split(line).map_err(|_| at(Problem::Quote))? else {
            return Ok(());
        };
        let Line {
            keyword,
            values,
            text,
        } = line;
        let word = keyword.to_ascii_lowercase();
        let is_option = *place == Source::CommandLine;
        match lookup(&word) {
            None => {
                let ignored = self
                    .ignore_unknown
                    .as_ref()
                    .map_or("", |patterns| &patterns.value);
                let is_ignored = list_fits(ignored.split(','), &word);
                if is_ignored {
                    Ok(())
                } else {
                    Err(at(Problem::UnknownOption { keyword }))
                }
            }
            Some(Keyword::Host | Keyword::Match | Keyword::Include) if is_option => {
                Err(at(Problem::OnlyInFiles { keyword }))
            }
            Some(Keyword::Refused(_) | Keyword::Ignored) if is_option => {
                Err(at(Problem::NotSupported { keyword }))
            }
            Some(Keyword::Ignored) => {
                if block.applies {
                    self.options.ignored.push(Sourced {
                        value: keyword,
                        source: place.clone(),
                    });
                }
                Ok(())
            }
            Some(Keyword::Refused(harmless)) => {
                if !block.applies || self.harmless.contains(&word) {
                    return Ok(());
                }
                let is_harmless = |value: &String| harmless.contains(&value.to_ascii_lowercase().as_str());
                if values.is_empty() || !values.iter().all(is_harmless) {
                    return Err(at(Problem::NotSupported { keyword }));
                }
                self.harmless.insert(word);
                Ok(())
            }
            Some(Keyword::ProxyCommand) if !text.is_empty() => {
                self.proxies.command(block.applies, text, place);
                Ok(())
            }
            Some(_) if values.is_empty() || values.iter().any(String::is_empty) => {
                Err(at(Problem::NoValue { keyword }))
            }
            Some(Keyword::Include) => self.include(&values, place, block),
            Some(Keyword::Host) => {
                let patterns = values.iter().map(String::as_str);
                block.applies = !block.never && list_fits(patterns, self.query.host);
                Ok(())
            }
            Some(Keyword::Match) => {
                let is_all =
                    values.len() == 1 && values.iter().all(|value| value.eq_ignore_ascii_case("all"));
                if !is_all && !block.never {
                    return Err(at(Problem::Match {
                        criteria: values.join(" "),
                    }));
                }
                block.applies = !block.never;
                Ok(())
            }
            Some(Keyword::UserKnownHostsFile) => {
                let is_none = |value: &String| value.eq_ignore_ascii_case("none");
                match values.iter().find(|value| is_none(value)) {
                    Some(value) if values.len() > 1 => Err(at(Problem::Value {
                        keyword,
                        value: value.clone(),
                        expected: "none has to stand alone",
                    })),
                    none => {
                        let files = if none.is_some() { Vec::new() } else { values };
                        first(
                            &mut self.options.user_known_hosts_files,
                            block.applies,
                            files,
                            place,
                        );
                        Ok(())
                    }
                }
            }
            Some(single) => match <[String; 1]>::try_from(values) {
                Ok([value]) => self
                    .single(single, &value, block.applies, place)
                    .map_err(|expected| {
                        at(Problem::Value {
                            keyword,
                            value,
                            expected,
                        })
                    }),
                Err(_) => Err(at(Problem::ExtraValue { keyword })),
            },
        }
    }

    /// An option with one value. The value is checked also where it does not apply, as ssh does.
    fn single(
        &mut self,
        option: Keyword,
        text: &str,
        applies: bool,
        place: &Source,
    ) -> Result<(), &'static str> {
        let options = &mut self.options;
        let text_owned = || text.to_owned();
        match option {
            Keyword::HostName => first(&mut self.host_name, applies, text_owned(), place),
            Keyword::User => first(&mut options.user, applies, text_owned(), place),
            Keyword::Port => first(&mut options.port, applies, value::port(text)?, place),
            Keyword::IdentityFile if applies => {
                let files = options.identity_files.get_or_insert_default();
                if !files.iter().any(|file| file.value == text) {
                    files.push(Sourced {
                        value: text_owned(),
                        source: place.clone(),
                    });
                }
            }
            Keyword::IdentitiesOnly => first(
                &mut options.identities_only,
                applies,
                value::boolean(text)?,
                place,
            ),
            Keyword::IdentityAgent => first(
                &mut options.identity_agent,
                applies,
                value::identity_agent(text),
                place,
            ),
            Keyword::StrictHostKeyChecking => {
                let checking = value::strict_host_key_checking(text)?;
                first(&mut options.strict_host_key_checking, applies, checking, place);
            }
            Keyword::BatchMode => first(&mut options.batch_mode, applies, value::boolean(text)?, place),
            // `none` is no value: ssh lets a later line set one.
            Keyword::ConnectTimeout => {
                let time = value::time(text)?;
                first(
                    &mut options.connect_timeout,
                    applies && time.is_some(),
                    time.unwrap_or_default(),
                    place,
                );
            }
            Keyword::ServerAliveInterval => {
                let time = value::time(text)?;
                first(
                    &mut options.server_alive_interval,
                    applies && time.is_some(),
                    time.unwrap_or_default(),
                    place,
                );
            }
            Keyword::ServerAliveCountMax => {
                first(
                    &mut options.server_alive_count_max,
                    applies,
                    value::count(text)?,
                    place,
                );
            }
            Keyword::ProxyJump => self.proxies.jump(applies, text, place)?,
            Keyword::IgnoreUnknown => first(
                &mut self.ignore_unknown,
                applies,
                text.to_ascii_lowercase(),
                place,
            ),
            // The words that take several values, or none of ours, have been dealt with.
            _ => {}
        }
        Ok(())
    }

    /// Reads included files where they stand. A `Host` line in them ends with them.
    fn include(&mut self, patterns: &[String], place: &Source, block: &Block<'_>) -> Result<(), ConfigError> {
        let at = |problem| ConfigError {
            place: place.clone(),
            problem,
        };
        if block.depth == MAX_INCLUDE_DEPTH {
            return Err(at(Problem::IncludeDepth {
                limit: MAX_INCLUDE_DEPTH,
            }));
        }
        for pattern in patterns {
            let pattern = expand_home(pattern, self.env.home().as_deref()).map_err(at)?;
            let pattern = match pattern.starts_with('/') {
                true => pattern,
                false => format!("{}/{pattern}", block.include_directory),
            };
            let files = self.env.include(&pattern).map_err(|reason| {
                at(Problem::Include {
                    pattern: pattern.clone(),
                    reason,
                })
            })?;
            for (path, text) in files {
                let never = block.never || !block.applies;
                self.file(
                    &path,
                    &text,
                    &mut Block {
                        never,
                        depth: block.depth + 1,
                        ..*block
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Expands and checks what could not be before all was read.
    fn finish(self) -> Result<Options, ConfigError> {
        let Self {
            query,
            env,
            mut options,
            host_name,
            proxies,
            ..
        } = self;
        if let Some(Sourced { value, source }) = host_name {
            let value = located(
                &source,
                expand(&value, |c| (c == 'h').then(|| query.host.to_owned()), None),
            )?;
            options.host_name = Sourced { value, source };
        }
        let host = &mut options.host_name;
        if !host.value.contains(':') {
            host.value.make_ascii_lowercase();
        }
        located(&host.source, check_host(&host.value).map_err(Problem::from))?;
        if let Some(user) = &options.user {
            located(&user.source, check_user(&user.value).map_err(Problem::from))?;
        }

        let host = options.host_name.value.clone();
        let port = options.port.as_ref().map_or(22, |port| port.value);
        let user = options.user.as_ref().map(|user| user.value.clone());
        let token = |c| match c {
            'd' => env.home(),
            'h' => Some(host.clone()),
            'n' => Some(query.host.to_owned()),
            'p' => Some(port.to_string()),
            'r' => user.clone().or_else(|| env.user()),
            'u' => env.user(),
            _ => None,
        };
        let variable = |name: &str| env.variable(name);
        let path = |text: &str| {
            expand_home(text, env.home().as_deref()).and_then(|text| expand(&text, token, Some(&variable)))
        };
        if let Some(files) = &mut options.identity_files {
            files.retain(|file| !file.value.eq_ignore_ascii_case("none"));
            for file in files {
                file.value = located(&file.source, path(&file.value))?;
            }
        }
        if let Some(files) = &mut options.user_known_hosts_files {
            for file in &mut files.value {
                *file = located(&files.source, path(file))?;
            }
        }
        if let Some(Sourced {
            value: IdentityAgent::Socket(socket),
            source,
        }) = &mut options.identity_agent
        {
            *socket = located(source, path(socket))?;
        }
        let login = user.clone().or_else(|| env.user()).unwrap_or_default();
        let tokens = ProxyTokens {
            host: &host,
            name: query.host,
            port,
            user: &login,
        };
        let settled = proxies.settle(&tokens);
        options.proxy = settled.map_err(|(place, problem)| ConfigError { place, problem })?;
        Ok(options)
    }
}

fn located<T>(place: &Source, result: Result<T, Problem>) -> Result<T, ConfigError> {
    result.map_err(|problem| ConfigError {
        place: place.clone(),
        problem,
    })
}
