//! The `windhover` command.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::CommandFactory as _;
use windhover_core::UnixTime;
use windhover_runtime::Report;
use windhover_server::backup;
use windhover_server::cache;
use windhover_server::cli::{
    CheckConfigArgs, Cli, Command, CompletionsArgs, InspectArgs, JournalCommand, ManArgs,
    RepairArgs, VerifyArgs,
};
use windhover_server::config::{self, CommandLineError, command_line};
use windhover_server::data::{DataDirectory, DataError};
use windhover_server::dead_letters::{ReplayArgs, ReplayReport, replay};
use windhover_server::decode::{DecodeArgs, decode};
use windhover_server::environment::mistyped;
use windhover_server::journal::{InspectError, OpenError};
use windhover_server::logging;
use windhover_server::relay;
use windhover_server::serve::{self, ServeError};
use windhover_server::tail::{TailArgs, TailError, tail};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if backup::gives_way(&args) {
        // As the first thing it does: to read the arguments takes as long as a small backup.
        backup::give_way();
    }
    let cli = match command_line(&args) {
        Ok(cli) => cli,
        Err(CommandLineError::Arguments(error)) => error.exit(),
        Err(error) => return wrong(&error),
    };
    if let Err(error) = logging::start(cli.command.log_format()) {
        return wrong(&error);
    }
    warn_of_mistyped();
    match cli.command {
        Command::Serve(args) => match serve::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("windhover: {}", Report::new(&error));
                if let ServeError::Data(DataError::Journal(OpenError::Damaged { .. })) = &error {
                    eprintln!(
                        "to mend it, keeping every whole record: windhover repair --data {}",
                        args.data.display()
                    );
                }
                exit_code(&error)
            }
        },
        Command::Cache(args) => match cache::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("windhover: {}", Report::new(&error));
                ExitCode::FAILURE
            }
        },
        Command::Repair(args) => match repair(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error),
        },
        Command::Backup(args) => ExitCode::from(backup::run(&args)),
        Command::Journal(args) => match &args.command {
            JournalCommand::Inspect(args) => inspect(args),
            JournalCommand::Verify(args) => verify(args),
            _ => ExitCode::FAILURE,
        },
        Command::Replay(args) => replay_letters(&args),
        Command::Relay(args) => ExitCode::from(relay::run(&args)),
        Command::Decode(args) => explain(&args),
        Command::Tail(args) => show(&args),
        #[cfg(feature = "load")]
        Command::Load(args) => ExitCode::from(windhover_server::load::run(&args)),
        Command::CheckConfig(args) => check_config(&args),
        Command::Completions(args) => completions(&args),
        Command::Man(args) => man(&args),
        _ => ExitCode::FAILURE,
    }
}

fn warn_of_mistyped() {
    let names: Vec<_> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    for (name, near) in mistyped(names.iter().map(String::as_str)) {
        tracing::warn!("{name} is set, which is no setting: did you mean {near}?");
    }
}

fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "windhover", &mut script);
    written(io::stdout().write_all(&script))
}

fn man(args: &ManArgs) -> ExitCode {
    match &args.out {
        None => written(clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())),
        Some(folder) => {
            let made = std::fs::create_dir_all(folder);
            written(made.and_then(|()| clap_mangen::generate_to(Cli::command(), folder)))
        }
    }
}

fn written(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("windhover: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with the command line, of which the file is a part.
fn wrong(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("windhover: {}", Report::new(error));
    ExitCode::from(2)
}

fn check_config(args: &CheckConfigArgs) -> ExitCode {
    let serve = match config::check(&args.file) {
        Ok(Cli { command: Command::Serve(serve), .. }) => serve,
        Ok(_) => return ExitCode::FAILURE,
        Err(error) => return wrong(&error),
    };
    match serve.check() {
        Ok(()) => {
            println!("{}: good", args.file.display());
            ExitCode::SUCCESS
        }
        Err(error) => wrong(&error),
    }
}

fn explain(args: &DecodeArgs) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let explained = decode(args, &mut io::stdin().lock(), &mut out);
    let explained = explained.and_then(|is_recorded| {
        out.flush()?;
        Ok(is_recorded)
    });
    match explained {
        Ok(is_recorded) => ExitCode::from(u8::from(!is_recorded)),
        Err(error) => wrong(&error),
    }
}

fn show(args: &TailArgs) -> ExitCode {
    match tail(args, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(TailError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("windhover: {}", Report::new(&error));
            ExitCode::FAILURE
        }
    }
}

fn replay_letters(args: &ReplayArgs) -> ExitCode {
    let mut report = ReplayReport::default();
    let ended = replay(args, &mut report);
    println!("taken          {}", report.taken);
    println!("refused again  {}", report.refused);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("windhover: {}", Report::new(&error));
            ExitCode::FAILURE
        }
    }
}

fn exit_code(error: &ServeError) -> ExitCode {
    match error {
        ServeError::QueueName { .. }
        | ServeError::QueueNameTaken { .. }
        | ServeError::QueueNameNoSubject { .. }
        | ServeError::JournalTooSmall { .. } => ExitCode::from(2),
        ServeError::Data(DataError::Journal(OpenError::Damaged { .. })) => ExitCode::from(3),
        ServeError::Data(DataError::Locked(_)) => ExitCode::from(4),
        ServeError::Backup(error) => ExitCode::from(error.exit_code()),
        _ => ExitCode::FAILURE,
    }
}

fn inspect(args: &InspectArgs) -> ExitCode {
    let data = match DataDirectory::lock_existing(&args.data) {
        Ok(data) => data,
        Err(error) => return fail(error),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let shown = data.inspect(args.segment, &mut out);
    match shown.and_then(|()| out.flush().map_err(InspectError::from)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(InspectError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("windhover: {}", Report::new(&error));
            ExitCode::FAILURE
        }
    }
}

fn verify(args: &VerifyArgs) -> ExitCode {
    match DataDirectory::lock_existing(&args.data).and_then(|data| data.verify()) {
        Ok(verified) => {
            println!("{verified}");
            ExitCode::from(if verified.faults.is_empty() { 0 } else { 3 })
        }
        Err(error) => fail(error),
    }
}

fn fail(error: DataError) -> ExitCode {
    eprintln!("windhover: {}", Report::new(&error));
    exit_code(&ServeError::Data(error))
}

fn repair(args: &RepairArgs) -> Result<(), DataError> {
    let data = DataDirectory::lock(&args.data)?;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = UnixTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX));
    let report = data.repair(now)?;
    if report.faults.is_empty() {
        println!("the journal is whole; nothing was changed");
    }
    for fault in &report.faults {
        println!("mended  {fault}");
    }
    for kept in &report.kept {
        println!("kept    {}", data.path().join("damaged").join(kept).display());
    }
    for foreign in &report.foreign {
        println!("foreign {foreign}: not the journal's; left alone");
    }
    println!("{} items are in the queues", report.items);
    Ok(())
}
