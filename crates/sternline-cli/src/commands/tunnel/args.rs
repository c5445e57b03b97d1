//! The options of `sternline tunnel`.

use clap::builder::TypedValueParser;
use sternline::ForwardIntent;
use sternline::proto::forward::ForwardError;

use crate::connect::ConnectOptions;

const NOTES: &str = "\
The connection is watched and made again whenever it is lost, without limit unless --max-retries says so; the forwards \
come back on the same ports. Only the first connection may fail no more than four times. A refused login or an untrusted \
host key ends it at once.

On a terminal a status line is kept up to date on standard error. Elsewhere, and with --json, every event is one JSON object \
a line on standard output, with event_type, timestamp (milliseconds since 1970) and data.

Everything listens on loopback unless a bind address says otherwise. Port 0 lets the listening side choose a free port, \
which is then named.

Exit status: 0 after Ctrl-C, SIGTERM or --timeout; 255 when connecting failed for good, a forward could not be opened, or the \
tunnel was never up within --timeout; 2 when the command line makes no sense.";

/// Keep forwards to or from a host up
#[derive(Debug, clap::Args)]
#[command(
    after_help = NOTES,
    mut_arg("timeout", |arg| arg.help("How long to stay, such as 8h [default: until stopped]")),
    mut_arg("json", |arg| arg.help("Print every event as a JSON object on standard output, on a terminal too")),
)]
pub(crate) struct Args {
    /// The host: [user@]host[:port]
    pub(super) host: String,

    /// Listen here and let the host connect: [BIND:]PORT:HOST:HOSTPORT, with a socket's path for either half; may be
    /// given several times
    #[arg(short = 'L', value_name = "SPEC", value_parser = spec(ForwardIntent::local))]
    pub(super) local: Vec<ForwardIntent>,

    /// Let the host listen and connect here: as -L, or [BIND:]PORT alone for a SOCKS proxy at the host; may be given
    /// several times
    #[arg(short = 'R', value_name = "SPEC", value_parser = spec(ForwardIntent::remote))]
    pub(super) remote: Vec<ForwardIntent>,

    /// Be a SOCKS proxy here whose connections the host makes: [BIND:]PORT; may be given several times
    #[arg(short = 'D', value_name = "SPEC", value_parser = spec(ForwardIntent::dynamic))]
    pub(super) dynamic: Vec<ForwardIntent>,

    /// How often in a row a lost connection may fail to come back before giving up [default: no limit]
    #[arg(long, value_name = "COUNT")]
    pub(super) max_retries: Option<u32>,

    #[command(flatten)]
    pub(crate) connect: ConnectOptions,
}

fn spec(
    parse: fn(&str) -> Result<ForwardIntent, ForwardError>,
) -> impl TypedValueParser<Value = ForwardIntent> {
    clap::builder::StringValueParser::new().try_map(move |text| parse(&text))
}
