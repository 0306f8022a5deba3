//! A configuration file's text: which names there are, and what they are given.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::ConfigFault;
use super::queues::{QueueTable, queue_name};
use super::tokens::TokenTable;

/// The table of queues.
const QUEUES: &str = "queues";
/// The table of names that stand for queues.
const ALIASES: &str = "aliases";
/// The table of tokens.
const TOKENS: &str = "tokens";

/// A flag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Of a flag that takes none: whether it is set.
    Switch(bool),
    /// As it would stand on the command line.
    Text(String),
    /// Of a flag that takes several.
    List(Vec<String>),
}

/// A flag that the file sets.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: Given,
}

/// What a configuration file says.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConfigFile {
    /// What flags may say too.
    pub(super) settings: Vec<Setting>,
    /// The queues that have bounds of their own, by name.
    pub queues: BTreeMap<String, QueueTable>,
    /// Names that stand for one or several queues on a put.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// The tokens that are known, and what they may send.
    pub tokens: BTreeMap<String, TokenTable>,
}

impl ConfigFile {
    /// Reads a file's text. `flags` are the names that flags have: what else there may be is a table.
    ///
    /// # Errors
    /// Everything that is wrong with it but for the values of flags, which whoever knows the flags looks at.
    pub fn parse(text: &str, flags: &[&str]) -> Result<Self, Vec<ConfigFault>> {
        let mut read = Reader { text, faults: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            read.fault(error.span().unwrap_or_default(), error.message().to_owned());
        }
        let mut file = Self::default();
        for (key, value) in table.get_ref() {
            let name = written(key.get_ref());
            if name == QUEUES {
                if let Some(queues) = read.table(&name, value) {
                    file.queues(queues, &mut read);
                }
            } else if name == ALIASES {
                if let Some(aliases) = read.table(&name, value) {
                    file.aliases(aliases, &mut read);
                }
            } else if name == TOKENS {
                if let Some(tokens) = read.table(&name, value) {
                    file.tokens(tokens, &mut read);
                }
            } else if !flags.contains(&&*name) {
                let known = flags.iter().copied().chain([QUEUES, ALIASES, TOKENS]);
                read.unknown(key.span(), key.get_ref(), known);
            } else if let Some(value) = read.given(&name, value) {
                let line = read.line(key.span().start);
                file.settings.push(Setting { line, name, value });
            }
        }
        file.check_names(&table, &mut read);
        if read.faults.is_empty() { Ok(file) } else { Err(read.faults) }
    }

    fn queues(&mut self, queues: &DeTable<'_>, read: &mut Reader<'_>) {
        for (name, table) in queues {
            let (queue, at) = (name.get_ref(), name.span());
            if let Err(why) = QueueTable::check_name(queue) {
                read.fault(at, format!("`[queues.\"{queue}\"]`: {why}"));
            } else if let Some(table) = read.table(queue, table) {
                let table = QueueTable::read(table, read);
                self.queues.insert(queue.to_string(), table);
            }
        }
    }
}

impl ConfigFile {
    fn tokens(&mut self, tokens: &DeTable<'_>, read: &mut Reader<'_>) {
        for (name, table) in tokens {
            let token = name.get_ref();
            if let Some(table) = read.table(token, table) {
                let table = TokenTable::read(table, read);
                self.tokens.insert(token.to_string(), table);
            }
        }
    }

    fn aliases(&mut self, aliases: &DeTable<'_>, read: &mut Reader<'_>) {
        for (alias, named) in aliases {
            let (name, at) = (alias.get_ref(), alias.span());
            if let Err(why) = QueueTable::check_name(name) {
                read.fault(at, format!("the alias `{name}`: {why}"));
                continue;
            }
            let Some(list) = named.get_ref().as_array() else {
                read.wrong_type(name, named, "a list of queues");
                continue;
            };
            let queues: Option<Vec<String>> =
                list.iter().map(|queue| queue_name(name, queue, read)).collect();
            self.aliases.extend(queues.map(|queues| (name.to_string(), queues)));
        }
    }

    /// Names that do not go together.
    fn check_names(&self, table: &Spanned<DeTable<'_>>, read: &mut Reader<'_>) {
        let line_of = |of: &str, name: &str| {
            let found = table.get_ref().get(of).and_then(|table| table.get_ref().as_table());
            let key = found.and_then(|table| table.keys().find(|key| key.get_ref() == name));
            key.map_or(0..0, Spanned::span)
        };
        for (alias, named) in &self.aliases {
            let at = line_of(ALIASES, alias);
            if let Some(other) = named.iter().find(|name| self.aliases.contains_key(*name)) {
                read.fault(
                    at,
                    format!("the alias `{alias}` names `{other}`, which is an alias too"),
                );
            } else if self.queues.contains_key(alias) {
                read.fault(at, format!("`{alias}` is an alias and, in `[queues]`, a queue"));
            } else if alias.contains('+') {
                read.fault(
                    at,
                    format!("the alias `{alias}` has the name of one that follows a queue"),
                );
            }
        }
        for (token, table) in &self.tokens {
            let alias = table.queues.names().find(|queue| self.aliases.contains_key(*queue));
            if let Some(alias) = alias {
                let at = line_of(TOKENS, token);
                read.fault(at, format!("the token's queue `{alias}` is an alias"));
            }
        }
        for (queue, table) in &self.queues {
            let Some(other) = &table.move_expired_to else { continue };
            let at = line_of(QUEUES, queue);
            if other == queue {
                read.fault(at, format!("`{queue}` cannot move its items to itself"));
            } else if self.aliases.contains_key(other) {
                read.fault(at, format!("`move-expired-to` of `{queue}` names `{other}`, an alias"));
            }
        }
    }
}

/// As a file that says the same, in the order of names.
impl fmt::Display for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: BTreeMap<&str, &Given> =
            self.settings.iter().map(|setting| (&*setting.name, &setting.value)).collect();
        for (name, value) in settings {
            writeln!(f, "{name} = {value}")?;
        }
        for (queue, table) in &self.queues {
            write!(f, "[{QUEUES}.{}]\n{table}", Quoted(queue))?;
        }
        if !self.aliases.is_empty() {
            writeln!(f, "[{ALIASES}]")?;
        }
        for (alias, queues) in &self.aliases {
            writeln!(f, "{} = {}", Quoted(alias), List(queues))?;
        }
        for (token, table) in &self.tokens {
            write!(f, "[{TOKENS}.{}]\n{table}", Quoted(token))?;
        }
        Ok(())
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(set) => set.fmt(f),
            Self::Text(text) => Quoted(text).fmt(f),
            Self::List(texts) => List(texts).fmt(f),
        }
    }
}

/// A text as TOML writes it.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_ascii_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Texts as TOML writes them.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (n, text) in self.0.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { ", " }, Quoted(text))?;
        }
        f.write_str("]")
    }
}

/// Writes a table's line, if the table has that name.
pub(super) fn write_set(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    value: Option<impl fmt::Display>,
) -> fmt::Result {
    value.map_or(Ok(()), |value| writeln!(f, "{name} = {value}"))
}

/// A name as flags are written: `_` stands for `-`, too.
pub(super) fn written(key: &str) -> String {
    key.replace('_', "-")
}

/// Gathers what is wrong with a text.
pub(super) struct Reader<'a> {
    text: &'a str,
    faults: Vec<ConfigFault>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + memchr::memchr_iter(b'\n', before).count()
    }

    pub(super) fn fault(&mut self, at: Range<usize>, message: String) {
        let line = self.line(at.start);
        self.faults.push(ConfigFault { line, message });
    }

    /// Nothing has that name.
    pub(super) fn unknown<'n>(
        &mut self,
        at: Range<usize>,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) {
        let written = written(name);
        let near = known.max_by(|a, b| likeness(a, &written).total_cmp(&likeness(b, &written)));
        let near =
            near.map_or(String::new(), |near| format!("; the nearest that is known is `{near}`"));
        self.fault(at, format!("unknown name `{name}`{near}"));
    }

    /// `value`, which has to be a table.
    fn table<'t, 'i>(
        &mut self,
        name: &str,
        value: &'t Spanned<DeValue<'i>>,
    ) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(name, value, "a table");
        }
        table
    }

    pub(super) fn wrong_type(&mut self, name: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = value.get_ref().type_str();
        self.fault(value.span(), format!("`{name}` is {wanted}, and this is a TOML {found}"));
    }

    /// What a flag is given.
    fn given(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Given> {
        if let Some(set) = value.get_ref().as_bool() {
            return Some(Given::Switch(set));
        }
        if let Some(list) = value.get_ref().as_array() {
            let texts: Option<Vec<String>> =
                list.iter().map(|value| self.text_of(name, value)).collect();
            return texts.map(Given::List);
        }
        self.text_of(name, value).map(Given::Text)
    }

    fn text_of(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => decimal(number.as_str(), number.radix()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => None,
        };
        if text.is_none() {
            self.wrong_type(name, value, "text or a number");
        }
        text
    }
}

/// How alike two names are, from 0 to 2: one that has all of several words is nearer than any that differs
/// in letters.
fn likeness(known: &str, written: &str) -> f64 {
    let has_all = written.contains('-')
        && written.split('-').all(|word| known.split('-').any(|other| other == word));
    f64::from(u8::from(has_all)) + strsim::normalized_damerau_levenshtein(known, written)
}

/// A whole number as flags take it.
fn decimal(digits: &str, radix: u32) -> Option<String> {
    i128::from_str_radix(digits, radix).ok().map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[&str] = &["http", "max-queue-bytes", "all-or-nothing", "redirect-host"];

    fn faults(text: &str) -> Vec<(usize, String)> {
        let faults = ConfigFile::parse(text, FLAGS).unwrap_err();
        faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
    }

    #[test]
    fn flags_are_given_as_on_the_command_line() {
        let text = "http = \"[::]:80\"\nmax_queue_bytes = 0x10_0000\nall-or-nothing = true\n\
                    redirect-host = [\"a.example\", \"b.example\"]\n";
        let file = ConfigFile::parse(text, FLAGS).unwrap();
        let given = |name: &str| {
            let setting = file.settings.iter().find(|setting| setting.name == name);
            setting.map(|setting| (setting.line, setting.value.clone())).unwrap()
        };
        assert_eq!(given("http"), (1, Given::Text("[::]:80".to_owned())));
        assert_eq!(given("max-queue-bytes"), (2, Given::Text("1048576".to_owned())));
        assert_eq!(given("all-or-nothing"), (3, Given::Switch(true)));
        let hosts = vec!["a.example".to_owned(), "b.example".to_owned()];
        assert_eq!(given("redirect-host"), (4, Given::List(hosts)));
    }

    #[test]
    fn what_nothing_is_called_is_an_error_that_names_the_nearest() {
        let (line, message) = faults("http = \"localhost\"\nmax-queue-byte = 7\n").remove(0);
        assert_eq!(line, 2);
        assert_eq!(
            message,
            "unknown name `max-queue-byte`; the nearest that is known is `max-queue-bytes`"
        );
        let (_, message) = faults("[queue.events]\nmax-queue-items = 1\n").remove(0);
        assert!(message.ends_with("is `queues`"), "{message}");
        let (line, message) = faults("[queues.events]\n\nmax_items = 1\n").remove(0);
        assert_eq!(line, 3);
        assert!(message.ends_with("is `max-queue-items`"), "{message}");
    }

    #[test]
    fn names_have_to_go_together() {
        let text = "[queues.a]\nmove-expired-to = \"a\"\n[queues.b]\nmove-expired-to = \"all\"\n\
                    [aliases]\nall = [\"a\", \"b+c\"]\nmore = [\"all\"]\nb = []\n\"b+c\" = []\n\
                    bad = [\"x y\"]\nworse = \"a\"\ndead-letters = []\n";
        let mut told = faults(text);
        told.sort();
        let lines: Vec<usize> = told.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 6, 7, 8, 9, 10, 11, 12], "{told:#?}");
        let file = ConfigFile::parse("[aliases]\nall = [\"a\", \"b+c\"]\n", FLAGS).unwrap();
        assert_eq!(file.aliases["all"], ["a", "b+c"]);
    }

    #[test]
    fn what_is_printed_says_the_same() {
        let text = "http = \"a\\\"b\\n\\u007f\"\nall-or-nothing = true\nredirect-host = [\"a\", \"b\"]\n\
                    [queues.\"a b\".x]\n[queues.q]\nmax-item-age = 0.1\nfsync = \"interval=5\"\n\
                    move-expired-to = \"r\"\ndiscard-old = false\n[aliases]\nboth = [\"q\", \"r\"]\n\
                    [tokens.\"\"]\nrate = 1e300\nburst = 7\nengage-queue = \"q\"\n";
        assert_eq!(faults(text).len(), 1, "a queue's name has no blank");
        let text = text.replace("[queues.\"a b\".x]\n", "");
        let printed = ConfigFile::parse(&text, FLAGS).unwrap().to_string();
        assert_eq!(ConfigFile::parse(&printed, FLAGS).unwrap().to_string(), printed);
        assert!(printed.contains("http = \"a\\\"b\\u000a\\u007f\"\n"), "{printed}");
        assert_eq!(printed.lines().count(), 14, "{printed}");
    }

    #[test]
    fn every_fault_is_told() {
        let text = "nothing = 1\nhttp = {}\n[queues]\nq = 7\n\"a b\" = {}\n\
                    [queues.r]\ndiscard-old = \"yes\"\n";
        let lines: Vec<usize> = faults(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines.len(), 5);
        for line in [1, 2, 4, 5, 7] {
            assert!(lines.contains(&line), "{line}");
        }
        assert_eq!(faults("http = \n").len(), 1);
    }
}
