//! One command line of what was typed, the environment and the file.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Parser};

use super::fault::{ConfigError, ConfigFault};
use super::file::{ConfigFile, Given, Setting};
use crate::cli::{Cli, Command as Chosen};

/// The command that has a file.
const SERVE: &str = "serve";
/// What a file cannot say: where it is itself.
const CONFIG: &str = "config";

/// Why there is nothing to run.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommandLineError {
    /// The command line is wrong, or asks for help alone.
    Arguments(clap::Error),
    /// The file is.
    Config(ConfigError),
}

impl fmt::Display for CommandLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommandLineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arguments(error) => error.source(),
            Self::Config(error) => error.source(),
        }
    }
}

impl From<ConfigError> for CommandLineError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// What `args`, the environment, and the file that either names ask for, in this order of precedence. The
/// first of `args` is the program.
///
/// # Errors
/// [`CommandLineError`] when one of them is wrong; a file is then not used at all.
pub fn command_line(args: &[OsString]) -> Result<Cli, CommandLineError> {
    // What is wrong with the arguments is told below, of all of them together.
    let first = Cli::command().ignore_errors(true).try_get_matches_from(args);
    let serve = first.ok().and_then(|mut first| first.remove_subcommand());
    let serve = serve.filter(|(command, _)| command == SERVE).map(|(_, serve)| serve);
    let path = serve.as_ref().and_then(|serve| serve.get_one::<PathBuf>(CONFIG));
    let (Some(serve), Some(path)) = (&serve, path) else {
        return Cli::try_parse_from(args).map_err(CommandLineError::Arguments);
    };
    let (command, mut file) = read(path)?;
    file.settings.retain(|setting| !is_overridden(&command, serve, &setting.name));
    let at = args.iter().position(|arg| arg == SERVE).map_or(0, |at| at + 1);
    let (before, after) = args.split_at(at);
    let set = file.settings.iter().flat_map(as_arguments).map(OsString::from);
    let all = before.iter().cloned().chain(set).chain(after.iter().cloned());
    let mut cli = Cli::try_parse_from(all).map_err(CommandLineError::Arguments)?;
    if let Chosen::Serve(args) = &mut cli.command {
        args.file = Some(file);
    }
    Ok(cli)
}

/// Reads a file as `serve` does, for whoever wants to know whether it would start with it: no flag is
/// given beside it, and the environment is not looked at.
///
/// # Errors
/// As [`command_line`].
pub fn check(path: &Path) -> Result<Cli, CommandLineError> {
    checked(read(path)?)
}

/// The same for a file's text, of which faults say that it is the file of that name.
///
/// # Errors
/// As [`command_line`].
pub fn check_text(path: &Path, text: &str) -> Result<Cli, CommandLineError> {
    checked(parse(path, text)?)
}

fn checked((command, file): (Command, ConfigFile)) -> Result<Cli, CommandLineError> {
    let set = file.settings.iter().flat_map(as_arguments);
    let all = ["windhover".to_owned(), SERVE.to_owned()].into_iter().chain(set);
    let without_environment =
        Cli::command().mut_subcommand(SERVE, |_| command.clone()).try_get_matches_from(all);
    let parsed = without_environment
        .and_then(|mut matches| <Cli as clap::FromArgMatches>::from_arg_matches_mut(&mut matches));
    let mut cli = parsed.map_err(CommandLineError::Arguments)?;
    if let Chosen::Serve(args) = &mut cli.command {
        args.file = Some(file);
    }
    Ok(cli)
}

/// Reads a file, and looks at each value as if it stood alone on the command line. Also the command that
/// it is for, without its environment.
fn read(path: &Path) -> Result<(Command, ConfigFile), ConfigError> {
    let io = |source| ConfigError::Io { path: path.to_owned(), source };
    parse(path, &fs::read_to_string(path).map_err(io)?)
}

fn parse(path: &Path, text: &str) -> Result<(Command, ConfigFile), ConfigError> {
    let cli = Cli::command();
    let serve = cli.find_subcommand(SERVE).cloned().unwrap_or_default();
    let serve = serve.mut_args(|arg| arg.env(Resettable::Reset));
    let names: Vec<&str> =
        serve.get_arguments().filter_map(Arg::get_long).filter(|name| *name != CONFIG).collect();
    let file = match ConfigFile::parse(text, &names) {
        Ok(file) => file,
        Err(faults) => {
            ConfigError::of(path, faults)?;
            ConfigFile::default()
        }
    };
    let faults = file.settings.iter().filter_map(|setting| fault_of(&serve, setting)).collect();
    ConfigError::of(path, faults)?;
    Ok((serve, file))
}

fn find<'c>(serve: &'c Command, name: &str) -> Option<&'c Arg> {
    serve.get_arguments().find(|arg| arg.get_long() == Some(name))
}

/// Whether the command line or the environment says otherwise.
fn is_overridden(serve: &Command, matches: &ArgMatches, name: &str) -> bool {
    let source = find(serve, name).and_then(|arg| matches.value_source(arg.get_id().as_str()));
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// What is wrong with a flag's value, if anything is.
fn fault_of(serve: &Command, setting: &Setting) -> Option<ConfigFault> {
    let (name, line) = (&setting.name, setting.line);
    let arg = find(serve, name)?;
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let takes_many =
        matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some();
    let wanted = match setting.value {
        Given::Switch(_) if !is_switch => Some("has a value, and is not `true` or `false`"),
        Given::Text(_) | Given::List(_) if is_switch => Some("is `true` or `false`"),
        Given::List(_) if !takes_many => Some("has one value"),
        _ => None,
    };
    if let Some(wanted) = wanted {
        return Some(ConfigFault { line, message: format!("`{name}` {wanted}") });
    }
    let alone = [SERVE.to_owned()].into_iter().chain(as_arguments(setting));
    let error = serve.clone().try_get_matches_from(alone).err()?;
    // That it needs another one is told when all are known.
    if matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict) {
        return None;
    }
    let value = error.get(ContextKind::InvalidValue).map(|value| format!(" `{value}`"));
    let value = value.unwrap_or_default();
    let why = match std::error::Error::source(&error) {
        Some(why) => why.to_string(),
        None => error
            .get(ContextKind::ValidValue)
            .map_or_else(|| error.kind().to_string(), |values| format!("it is one of: {values}")),
    };
    Some(ConfigFault { line, message: format!("`{name}` cannot be{value}: {why}") })
}

/// A setting as it would be typed.
fn as_arguments(setting: &Setting) -> Vec<String> {
    let Setting { name, value, .. } = setting;
    match value {
        Given::Switch(true) => vec![format!("--{name}")],
        Given::Switch(false) => Vec::new(),
        Given::Text(text) => vec![format!("--{name}={text}")],
        Given::List(texts) => texts.iter().map(|text| format!("--{name}={text}")).collect(),
    }
}

/// The arguments of this process.
pub(super) fn own_arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::time::Duration;

    use windhover_core::queue::Fsync;

    use super::*;
    use crate::cli::ServeArgs;

    /// What `serve` gets from that file and those arguments.
    fn serve(text: &str, args: &[&str]) -> Result<ServeArgs, String> {
        let directory =
            std::env::temp_dir().join(format!("windhover-config-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default().replace("::", "-");
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        let line = [OsStr::new("windhover"), OsStr::new(SERVE), OsStr::new("--config")];
        let line = line.into_iter().chain([path.as_os_str()]).chain(args.iter().map(OsStr::new));
        let line: Vec<OsString> = line.map(OsStr::to_owned).collect();
        match command_line(&line).map_err(|error| error.to_string())?.command {
            Chosen::Serve(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_hold_over_the_file() {
        let text = "queue-name = \"from-file\"\nfsync = \"never\"\nmax-queue-items = 7\n\
                    redirect-host = [\"a.example\", \"b.example\"]\nall-or-nothing = true\n";
        let args = serve(text, &["--queue-name", "typed", "--redirect-host=c.example"]).unwrap();
        assert_eq!(args.queue_name, "typed");
        assert_eq!(args.fsync, Fsync::Never);
        assert_eq!(args.max_queue_items, Some(7));
        assert_eq!(args.redirect_hosts, ["c.example"]);
        assert!(args.all_or_nothing);
        // What nobody says is as without a file.
        assert_eq!(args.answer_timeout, Duration::from_secs(5));
    }

    #[test]
    fn what_needs_something_else_finds_it_in_the_file() {
        let args = serve("tls-key = \"key.pem\"\n", &["--tls-cert", "cert.pem"]).unwrap();
        assert_eq!(args.tls_key, Some(PathBuf::from("key.pem")));
        let error = serve("tls-key = \"key.pem\"\n", &[]).unwrap_err();
        assert!(error.contains("--tls-cert"), "{error}");
    }

    #[test]
    fn a_value_that_cannot_be_is_told_with_its_line() {
        let text = "\nfsync = \"sometimes\"\nthreads = 0\nruntime = \"none\"\nproxy-protocol = \"yes\"\n\
                    data = [\"a\", \"b\"]\nmax-queue-bytes = true\n";
        let error = serve(text, &[]).unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        for (line, (number, word)) in lines.iter().zip([
            (2, "`sometimes`"),
            (3, "0 is not in 1..=1024"),
            (4, "it is one of: "),
            (5, "is `true` or `false`"),
            (6, "has one value"),
            (7, "has a value"),
        ]) {
            assert!(line.contains(&format!(":{number}: ")) && line.contains(word), "{line}");
        }
        assert_eq!(lines.len(), 6);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let line = ["windhover", SERVE, "--config", "/nowhere/windhover.toml"];
        let error = command_line(&line.map(OsString::from)).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/windhover.toml");
    }
}
