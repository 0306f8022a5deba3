//! What flags and file say of tokens.

use toml::de::DeTable;

use super::file::{Reader, written};
use super::queues::{number, positive};
use crate::cli::ServeArgs;
use crate::tokens::{TokenPolicy, TokenRate};

/// A token's table.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TokenTable {
    /// `rate`: records a second.
    pub rate: Option<f64>,
    /// `burst`: records at once.
    pub burst: Option<u64>,
}

/// The names that a token's table may have.
const NAMES: &[&str] = &["rate", "burst"];

impl TokenTable {
    pub(super) fn read(table: &DeTable<'_>, read: &mut Reader<'_>) -> Self {
        let mut token = Self::default();
        for (key, value) in table {
            let name = written(key.get_ref());
            match &*name {
                "rate" => token.rate = positive(&name, value, read),
                "burst" => token.burst = number(&name, value, read),
                _ => read.unknown(key.span(), key.get_ref(), NAMES.iter().copied()),
            }
        }
        token
    }
}

/// What holds of tokens.
pub(crate) fn token_policy(args: &ServeArgs) -> TokenPolicy {
    let mut policy = TokenPolicy {
        known_only: args.known_tokens,
        rate: args.token_rate.map(|rate| TokenRate::new(rate, args.token_burst)),
        ..TokenPolicy::default()
    };
    for (token, table) in args.file.iter().flat_map(|file| &file.tokens) {
        let rate = table.rate.or(args.token_rate).map(|rate| {
            TokenRate::new(rate, table.burst.or(args.token_burst.filter(|_| table.rate.is_none())))
        });
        policy.tokens.insert(token.clone(), rate);
    }
    policy
}
