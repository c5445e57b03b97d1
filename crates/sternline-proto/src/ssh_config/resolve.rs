//! From lines to settings: blocks, includes, and the rule that the first value wins.

use std::net::IpAddr;

use super::criteria::{Answer, Circumstances};
use super::error::{ConfigError, Problem};
use super::line::{ConfigFile, Line, Setting, Statement, Unsupported, Without};
use super::options::{IdentityAgent, Ignored, Options, Source, Sourced};
use super::pattern::list_fits;
use super::proxy::{Proxies, ProxyTokens};
use super::query::{Env, Query};
use super::token::{Tokens, expand, expand_home};
use crate::target::{check_host, check_user};

/// How deep includes may be nested; ssh's own limit.
const MAX_INCLUDE_DEPTH: usize = 16;

/// Finds the settings for one host: the first value of each option wins, `user` and `port` before `-o` before the inventory before
/// files.
///
/// As ssh does, the files are read a second time where a `Match` line says `final`; `Host` and `Match host` are then
/// compared with the name that is connected to.
///
/// # Errors
/// The first line that ssh would refuse, and the first one that applies to the host and cannot be obeyed; see
/// [`Problem`].
pub fn resolve(query: &Query<'_>, env: &dyn Env) -> Result<Options, ConfigError> {
    let mut resolver = Resolver::new(query, env);
    let given = &Source::CommandLine;
    let options = &mut resolver.options;
    if let Some(user) = query.user {
        first(&mut options.user, &user.to_owned(), given);
    }
    if let Some(port) = query.port {
        first(&mut options.port, &port, given);
    }
    for option in query.options {
        resolver.option(option, &Source::CommandLine)?;
    }
    for line in query.inventory {
        resolver.option(&line.value, &line.source)?;
    }
    resolver.read()?;
    if resolver.wants_second_reading {
        resolver.address = Some(resolver.host_name_so_far()?);
        resolver.read()?;
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

struct Resolver<'a> {
    query: &'a Query<'a>,
    env: &'a dyn Env,
    home: Option<String>,
    local_user: String,
    original_host: String,
    /// The settings so far; `host_name` and the paths are not expanded yet.
    options: Options,
    host_name: Option<Sourced<String>>,
    bind_address: Option<Sourced<String>>,
    proxies: Proxies,
    /// The patterns of `IgnoreUnknown`, in lower case.
    ignore_unknown: Option<Sourced<String>>,
    /// Options that are not supported and have been decided about: the first value wins.
    decided: Vec<String>,
    wants_second_reading: bool,
    /// The name that is connected to, while the files are read for the second time.
    address: Option<String>,
}

/// Keeps a value if it is the first.
fn first<T: Clone>(slot: &mut Option<Sourced<T>>, value: &T, source: &Source) {
    if slot.is_none() {
        *slot = Some(Sourced {
            value: value.clone(),
            source: source.clone(),
        });
    }
}

/// Keeps a value unless it is there already.
fn add(list: &mut Vec<Sourced<String>>, value: &str, source: &Source) {
    if !list.iter().any(|other| other.value == value) {
        list.push(Sourced {
            value: value.to_owned(),
            source: source.clone(),
        });
    }
}

impl<'a> Resolver<'a> {
    fn new(query: &'a Query<'a>, env: &'a dyn Env) -> Self {
        Self {
            query,
            env,
            home: env.home(),
            local_user: env.user().unwrap_or_default(),
            original_host: query.host.to_ascii_lowercase(),
            options: Options::of(query.host),
            host_name: None,
            bind_address: None,
            proxies: Proxies::default(),
            ignore_unknown: None,
            decided: Vec::new(),
            wants_second_reading: false,
            address: None,
        }
    }

    /// The value of `-o`, or a line of an inventory.
    fn option(&mut self, text: &str, place: &Source) -> Result<(), ConfigError> {
        let at = |problem| ConfigError {
            place: place.clone(),
            problem,
        };
        let Some(line) = Line::parse(text, 0) else {
            return Ok(());
        };
        let keyword = line.keyword;
        match line.says.map_err(at)? {
            Statement::Set(setting) => self.set(&setting, place),
            Statement::Unsupported(option) => self.unsupported(&keyword, &option, place.clone())?,
            Statement::Unknown(word) if self.is_ignored(&word) => {}
            Statement::Unknown(_) => return Err(at(Problem::UnknownOption { keyword })),
            Statement::Host(_) | Statement::Match(_) | Statement::Include(_) => {
                return Err(at(Problem::OnlyInFiles { keyword }));
            }
        }
        Ok(())
    }

    /// Goes through all files.
    fn read(&mut self) -> Result<(), ConfigError> {
        for root in self.query.files {
            let mut block = Block {
                applies: true,
                never: false,
                depth: 0,
                include_directory: &root.include_directory,
            };
            self.file(&root.file, &mut block)?;
        }
        Ok(())
    }

    fn file(&mut self, file: &ConfigFile, block: &mut Block<'_>) -> Result<(), ConfigError> {
        for line in file.lines() {
            let place = || Source::File {
                path: file.path().clone(),
                line: line.number,
            };
            let at = |problem| ConfigError {
                place: place(),
                problem,
            };
            match line.says.as_ref().map_err(|problem| at(problem.clone()))? {
                Statement::Host(patterns) => {
                    let host = self.address.as_deref().unwrap_or(self.query.host);
                    block.applies = !block.never && list_fits(patterns.iter().map(String::as_str), host);
                }
                Statement::Match(criteria) => {
                    self.wants_second_reading |= criteria.wants_second_reading();
                    block.applies = !block.never
                        && match criteria.hold(&self.circumstances(&self.host_name_so_far()?)) {
                            Answer::Yes => true,
                            Answer::No => false,
                            Answer::Unknown(criterion) => {
                                return Err(at(Problem::MatchUnknown { criterion }));
                            }
                        };
                }
                Statement::Include(patterns) => self.include(patterns, &at, block)?,
                Statement::Unknown(word) if !self.is_ignored(word) => {
                    let keyword = line.keyword.clone();
                    return Err(at(Problem::UnknownOption { keyword }));
                }
                Statement::Set(setting) if block.applies => self.set(setting, &place()),
                Statement::Unsupported(option) if block.applies => {
                    self.unsupported(&line.keyword, option, place())?
                }
                Statement::Set(_) | Statement::Unsupported(_) | Statement::Unknown(_) => {}
            }
        }
        Ok(())
    }

    fn is_ignored(&self, word: &str) -> bool {
        let ignored = self.ignore_unknown.as_ref();
        ignored.is_some_and(|patterns| list_fits(patterns.value.split(','), word))
    }

    /// The name to connect to, as far as it is known.
    fn host_name_so_far(&self) -> Result<String, ConfigError> {
        if let Some(address) = &self.address {
            return Ok(address.clone());
        }
        let mut host = match &self.host_name {
            None => self.query.host.to_owned(),
            Some(Sourced { value, source }) => {
                let token = |c| (c == 'h').then(|| self.query.host.to_owned());
                located(source, expand(value, token, None))?
            }
        };
        if !host.contains(':') {
            host.make_ascii_lowercase();
        }
        Ok(host)
    }

    fn circumstances<'b>(&'b self, host: &'b str) -> Circumstances<'b> {
        Circumstances {
            host,
            original_host: &self.original_host,
            user: self
                .options
                .user
                .as_ref()
                .map_or(&self.local_user, |user| &user.value),
            local_user: &self.local_user,
            second_reading: self.address.is_some(),
        }
    }

    fn unsupported(&mut self, keyword: &str, option: &Unsupported, place: Source) -> Result<(), ConfigError> {
        if self.decided.contains(&option.canonical) {
            return Ok(());
        }
        let instead = match option.without {
            Without::Harmless => None,
            Without::Named(instead) => Some(instead),
            Without::Refused(reason) => {
                let keyword = keyword.to_owned();
                let problem = Problem::NotSupported { keyword, reason };
                return Err(ConfigError { place, problem });
            }
        };
        self.decided.push(option.canonical.clone());
        self.options.ignored.push(Sourced {
            value: Ignored {
                keyword: keyword.to_owned(),
                value: option.value.clone(),
                instead,
            },
            source: place,
        });
        Ok(())
    }

    fn set(&mut self, setting: &Setting, place: &Source) {
        let options = &mut self.options;
        match setting {
            Setting::IgnoreUnknown(patterns) => first(&mut self.ignore_unknown, patterns, place),
            // In a second reading the name is what the first one has made of it.
            Setting::HostName(_) if self.address.is_some() => {}
            Setting::HostName(name) => first(&mut self.host_name, name, place),
            Setting::User(name) => first(&mut options.user, name, place),
            Setting::Port(port) => first(&mut options.port, port, place),
            Setting::AddressFamily(family) => first(&mut options.address_family, family, place),
            Setting::BindAddress(address) => first(&mut self.bind_address, address, place),
            Setting::ProxyJump(hops) => self.proxies.jump(hops, place),
            Setting::ProxyCommand(command) => self.proxies.command(command, place),
            Setting::IdentityFile(path) => add(options.identity_files.get_or_insert_default(), path, place),
            Setting::CertificateFile(path) => add(&mut options.certificate_files, path, place),
            Setting::IdentitiesOnly(only) => first(&mut options.identities_only, only, place),
            Setting::IdentityAgent(agent) => first(&mut options.identity_agent, agent, place),
            Setting::PubkeyAuthentication(yes) => first(&mut options.pubkey_authentication, yes, place),
            Setting::PasswordAuthentication(yes) => first(&mut options.password_authentication, yes, place),
            Setting::KbdInteractiveAuthentication(yes) => {
                first(&mut options.kbd_interactive_authentication, yes, place);
            }
            Setting::PreferredAuthentications(methods) => {
                first(&mut options.preferred_authentications, methods, place);
            }
            Setting::NumberOfPasswordPrompts(count) => {
                first(&mut options.number_of_password_prompts, count, place)
            }
            Setting::UserKnownHostsFile(files) => first(&mut options.user_known_hosts_files, files, place),
            Setting::GlobalKnownHostsFile(files) => {
                first(&mut options.global_known_hosts_files, files, place)
            }
            Setting::RevokedHostKeys(file) => first(&mut options.revoked_host_keys, file, place),
            Setting::HostKeyAlias(name) => first(&mut options.host_key_alias, name, place),
            Setting::HashKnownHosts(hash) => first(&mut options.hash_known_hosts, hash, place),
            Setting::StrictHostKeyChecking(checking) => {
                first(&mut options.strict_host_key_checking, checking, place);
            }
            Setting::BatchMode(batch) => first(&mut options.batch_mode, batch, place),
            Setting::KexAlgorithms(list) => first(&mut options.kex_algorithms, list, place),
            Setting::HostKeyAlgorithms(list) => first(&mut options.host_key_algorithms, list, place),
            Setting::Ciphers(list) => first(&mut options.ciphers, list, place),
            Setting::Macs(list) => first(&mut options.macs, list, place),
            Setting::ConnectTimeout(Some(time)) => first(&mut options.connect_timeout, time, place),
            Setting::ServerAliveInterval(Some(time)) => {
                first(&mut options.server_alive_interval, time, place)
            }
            Setting::ConnectTimeout(None) | Setting::ServerAliveInterval(None) => {}
            Setting::ServerAliveCountMax(count) => first(&mut options.server_alive_count_max, count, place),
        }
    }

    /// Reads included files where they stand. A `Host` line in them ends with them.
    fn include(
        &mut self,
        patterns: &[String],
        at: &dyn Fn(Problem) -> ConfigError,
        block: &Block<'_>,
    ) -> Result<(), ConfigError> {
        if block.depth == MAX_INCLUDE_DEPTH {
            return Err(at(Problem::IncludeDepth {
                limit: MAX_INCLUDE_DEPTH,
            }));
        }
        for pattern in patterns {
            let pattern = expand_home(pattern, self.home.as_deref()).map_err(at)?;
            let pattern = match pattern.starts_with('/') {
                true => pattern,
                false => format!("{}/{pattern}", block.include_directory),
            };
            let files = self.env.include(&pattern);
            let files = files.map_err(|reason| at(Problem::Include { pattern, reason }))?;
            for file in &*files {
                let mut inner = Block {
                    never: block.never || !block.applies,
                    depth: block.depth + 1,
                    ..*block
                };
                self.file(file, &mut inner)?;
            }
        }
        Ok(())
    }

    /// Expands and checks what could not be before all was read.
    fn finish(self) -> Result<Options, ConfigError> {
        let address = self.host_name_so_far()?;
        let Self {
            query,
            env,
            home,
            local_user,
            mut options,
            host_name,
            bind_address,
            proxies,
            ..
        } = self;
        options.host_name = Sourced {
            value: address,
            source: host_name.map_or(Source::CommandLine, |name| name.source),
        };
        let host = &options.host_name;
        located(&host.source, check_host(&host.value).map_err(Problem::from))?;
        if let Some(user) = &options.user {
            located(&user.source, check_user(&user.value).map_err(Problem::from))?;
        }
        if let Some(alias) = &options.host_key_alias {
            located(&alias.source, check_host(&alias.value).map_err(Problem::from))?;
        }
        if let Some(Sourced { value, source }) = bind_address {
            let address = value.parse::<IpAddr>().map_err(|_| Problem::Value {
                keyword: "BindAddress".to_owned(),
                value,
                expected: "write an address of this machine, not a name",
            });
            options.bind_address = Some(Sourced {
                value: located(&source, address)?,
                source,
            });
        }

        let tokens = Tokens {
            proxy: ProxyTokens {
                host: &options.host_name.value,
                name: query.host,
                known_as: options
                    .host_key_alias
                    .as_ref()
                    .map_or(query.host, |alias| &alias.value),
                port: options.port.as_ref().map_or(22, |port| port.value),
                user: options.user.as_ref().map_or(&local_user, |user| &user.value),
            },
            home: home.as_deref(),
            local_user: &local_user,
            env,
        };
        let in_home = |text: &str| expand_home(text, home.as_deref());
        let path = |text: &str| {
            expand(
                &in_home(text)?,
                |c| tokens.value(c),
                Some(&|name| env.variable(name)),
            )
        };
        if let Some(files) = &mut options.identity_files {
            files.retain(|file| !file.value.eq_ignore_ascii_case("none"));
        }
        options
            .certificate_files
            .retain(|file| !file.value.eq_ignore_ascii_case("none"));
        for file in options
            .identity_files
            .iter_mut()
            .flatten()
            .chain(&mut options.certificate_files)
        {
            file.value = located(&file.source, path(&file.value))?;
        }
        if let Some(Sourced { value, source }) = &mut options.user_known_hosts_files {
            for file in value {
                *file = located(source, path(file))?;
            }
        }
        // Here ssh takes `%` and `$` as they stand.
        if let Some(Sourced { value, source }) = &mut options.global_known_hosts_files {
            for file in value {
                *file = located(source, in_home(file))?;
            }
        }
        options.revoked_host_keys = options
            .revoked_host_keys
            .filter(|file| !file.value.eq_ignore_ascii_case("none"));
        if let Some(Sourced { value, source }) = &mut options.revoked_host_keys {
            *value = located(source, path(value))?;
        }
        if let Some(Sourced {
            value: IdentityAgent::Socket(socket),
            source,
        }) = &mut options.identity_agent
        {
            *socket = located(source, path(socket))?;
        }
        let settled = proxies.settle(&tokens.proxy);
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
