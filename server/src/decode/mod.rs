//! `windhover decode`: what the tracker makes of one request, step by step.

mod curl;
mod input;
mod report;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};

use clap::Args;

pub use curl::{CurlError, words};

/// What the tracker makes of a request: what is seen, undone, cleaned and refused, and why.
///
/// The request is a URL (or its path and query), a line that begins with `curl`, a body (JSON, a form, or the base64
/// of `data=`), or all of it as it goes over the wire, head and body. Nothing is sent, and nothing recorded.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  windhover decode 'http://localhost:8080/track?data=eyJldmVudCI6…&ip=1'
  windhover decode -- curl -d '{\"event\":\"hello\",\"properties\":{\"token\":\"t\"}}' http://localhost:8080/track
  windhover decode --file body.json --path '/import?strict=1'
  pbpaste | windhover decode

Exit codes: 0 when something of it would be recorded, 1 when nothing would, 2 when it is not understood.")]
#[non_exhaustive]
pub struct DecodeArgs {
    /// The request; several words are those of a `curl` command. Without it, and without a file, standard
    /// input is read
    #[arg(value_name = "REQUEST", trailing_var_arg = true, allow_hyphen_values = true)]
    pub request: Vec<String>,

    /// A file with the request in it
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    pub file: Option<std::path::PathBuf>,

    /// Where a body that comes without a head is sent
    #[arg(long, default_value = "/track", value_name = "PATH")]
    pub path: String,

    /// When it is received, in seconds since 1970; now when not given
    #[arg(long, value_name = "SECONDS")]
    pub now: Option<u64>,

    /// Who sends it
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    pub from: IpAddr,

    /// Record nothing of a batch with a bad event in it, as `serve --all-or-nothing`
    #[arg(long)]
    pub all_or_nothing: bool,

    /// A host that `redirect=` may lead to, as for `serve`
    #[arg(long = "redirect-host", value_delimiter = ',', value_name = "HOST")]
    pub redirect_hosts: Vec<String>,
}

/// Why there is nothing to explain.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodeFailed {
    /// The request cannot be read, or the explanation not be written.
    Io(io::Error),
    /// The `curl` command is not understood.
    Curl(CurlError),
    /// There is no request.
    Empty,
}

impl fmt::Display for DecodeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the request cannot be read, or the answer not written"),
            Self::Curl(error) => error.fmt(f),
            Self::Empty => f.write_str("there is no request: give a URL, a curl command or a body"),
        }
    }
}

impl std::error::Error for DecodeFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Curl(error) => error.source(),
            Self::Empty => None,
        }
    }
}

impl From<io::Error> for DecodeFailed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Explains a request; whether anything of it would be recorded.
///
/// # Errors
/// [`DecodeFailed`] when it is not understood.
pub fn decode(
    args: &DecodeArgs,
    input: &mut dyn Read,
    out: &mut dyn Write,
) -> Result<bool, DecodeFailed> {
    let request = match args.request.as_slice() {
        [] => {
            let mut text = Vec::new();
            match &args.file {
                Some(file) => text = std::fs::read(file)?,
                None => drop(input.read_to_end(&mut text)?),
            }
            input::of_text(&text, &args.path)?
        }
        [one] => input::of_text(one.as_bytes(), &args.path)?,
        many => input::of_words(many)?,
    };
    Ok(report::report(&request, args, out)?)
}
