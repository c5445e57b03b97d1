//! Which servers have to take a new connection so that a connection can be made.

use sternline_proto::target::Target;

use super::builder::ConnectionBuilder;
use super::open::DEFAULT_PORT;
use super::proxy::Via;

impl ConnectionBuilder {
    /// The servers that will have one more client that has not logged in yet while this connection is being made, by names that
    /// are equal for the same server; the nearest first. sshd turns such clients away when there are many (MaxStartups), so whoever makes
    /// many connections makes only some of them at once.
    ///
    /// A jump host whose connection is open, or is being opened by somebody else, has none. What a proxy command leads to is
    /// known by nobody; the same command is taken to ask the same server.
    pub(crate) fn startups(&self) -> Vec<String> {
        let own = match self.target.parse::<Target>() {
            Ok(target) => {
                let host = self.address.as_deref().unwrap_or(target.host());
                let port = target.port().or(self.port).unwrap_or(DEFAULT_PORT);
                format!("{host} {port}")
            }
            // It is refused before anything is asked of a server.
            Err(_) => return Vec::new(),
        };
        match &self.via {
            None => vec![own],
            Some(Via::Command(command)) => vec![command.written()],
            Some(Via::Jump(jump)) => {
                let mut startups = jump.startups();
                startups.push(format!("{jump} {own}"));
                startups
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::jump::JumpHost;
    use crate::connection::{Connection, ProxyCommand};

    #[test]
    fn a_host_is_known_by_where_it_is_and_not_by_who_logs_in() {
        let startups = |target: &str| Connection::builder(target).startups();
        assert_eq!(startups("ann@h"), ["h 22"]);
        assert_eq!(startups("h:2222"), ["h 2222"]);
        assert_eq!(
            Connection::builder("ann@h")
                .port(2)
                .address("10.0.0.1")
                .startups(),
            ["10.0.0.1 2"]
        );
        assert!(startups("two words").is_empty());
        let command = ProxyCommand::shell("ssh -W %h:%p bastion");
        assert_eq!(
            Connection::builder("h").proxy_command(command).startups(),
            ["ssh -W %h:%p bastion"]
        );
    }

    #[test]
    fn a_jump_host_that_is_not_open_is_asked_first_and_so_is_what_lies_before_it() {
        let hop = |target: &str| Connection::builder(target).username("ops");
        let builder = Connection::builder("h").jump([hop("one"), hop("two:23")]);
        let chain = "ops@one:22,ops@two:23";
        assert_eq!(
            builder.startups(),
            [
                "one 22".to_owned(),
                "ops@one:22 two 23".to_owned(),
                format!("{chain} h 22")
            ]
        );
        // Settings of its own for each host are a connection of its own for each.
        let shared = JumpHost::new(hop("one"));
        assert_eq!(Connection::builder("h").jump_through(&shared).startups().len(), 2);
    }
}
