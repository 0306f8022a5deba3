//! What changes when the file is read again, and what cannot before the next start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use windhover_core::Now;
use windhover_runtime::Report;

use super::command_line::{command_line, own_arguments};
use super::file::{ConfigFile, Given};
use super::queues::{self, engine_config};
use super::tokens::token_policy;
use crate::cli::{Command, ServeArgs};
use crate::store::Store;
use crate::tokens::Tokens;

/// The flags that hold from the reload on, with every queue's table and the flags of the names in one.
const AT_RUN_TIME: &[&str] = &[
    "max-children",
    "max-journal-bytes",
    "dead-letter-bytes",
    "known-tokens",
    "token-rate",
    "token-burst",
];

/// A file that is read again when it is asked for.
#[derive(Debug)]
pub(crate) struct ReloadedConfig {
    path: PathBuf,
    /// As it was last read.
    file: Mutex<ConfigFile>,
    tokens: Arc<Tokens>,
}

impl ReloadedConfig {
    /// The file that was read at the start, if there is one.
    pub(crate) fn new(args: &ServeArgs, tokens: &Arc<Tokens>) -> Option<Self> {
        let (path, file) = (args.config.clone()?, Mutex::new(args.file.clone()?));
        Some(Self { path, file, tokens: Arc::clone(tokens) })
    }

    /// Reads the file again. What is wrong with it is told in the log, and then nothing changes. Whether it
    /// was right.
    pub(crate) fn reload(&self, store: &Store, now: Now) -> bool {
        // One at a time, and what changed is told of the right one.
        let mut before = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let args = match command_line(&own_arguments()) {
            Ok(cli) => cli.command,
            Err(error) => {
                tracing::error!("the configuration stays as it was: {}", Report::new(&error));
                return false;
            }
        };
        let Command::Serve(args) = args else { return false };
        let Some(file) = args.file.clone() else { return false };
        if let Err(error) = args.check() {
            tracing::error!("the configuration stays as it was: {}", Report::new(&error));
            return false;
        }
        let config = engine_config(&args);
        store.manage(now, |engine| engine.set_config(config));
        self.tokens.set(token_policy(&args));
        tracing::info!(file = %self.path.display(), "the configuration was read again");
        for name in changed(&before, &file) {
            if holds_at_run_time(&name) {
                tracing::info!("`{name}` has changed");
            } else {
                tracing::warn!(
                    "`{name}` has changed in the file; that holds from the next start on"
                );
            }
        }
        *before = file;
        true
    }
}

/// Whether that name holds from the reload on.
fn holds_at_run_time(name: &str) -> bool {
    name.starts_with('[') || queues::NAMES.contains(&name) || AT_RUN_TIME.contains(&name)
}

/// The names whose values differ, each once.
fn changed(before: &ConfigFile, after: &ConfigFile) -> Vec<String> {
    let [before_set, after_set] = [before, after].map(settings);
    let flags = before_set.keys().chain(after_set.keys().filter(|n| !before_set.contains_key(*n)));
    let flags = flags.filter(|name| before_set.get(*name) != after_set.get(*name));
    let queues =
        before.queues.keys().chain(after.queues.keys().filter(|n| !before.queues.contains_key(*n)));
    let queues = queues.filter(|name| before.queues.get(*name) != after.queues.get(*name));
    let queues = queues.map(|name| format!("[queues.{name}]"));
    let aliases = (before.aliases != after.aliases).then(|| "[aliases]".to_owned());
    let tokens = (before.tokens != after.tokens).then(|| "[tokens]".to_owned());
    flags.map(|name| (*name).to_owned()).chain(queues).chain(aliases).chain(tokens).collect()
}

fn settings(file: &ConfigFile) -> BTreeMap<&str, &Given> {
    file.settings.iter().map(|setting| (&*setting.name, &setting.value)).collect()
}
