//! Who imports events: by the Basic scheme of HTTP (RFC 7617), or as the API once had it, by the
//! parameter `api_key`.
//!
//! They say which project is meant, and are not checked: whoever reaches the tracker may record.

use alloc::string::String;
use alloc::vec::Vec;

use super::base64;
use super::error::DecodeError;
use super::form::decoded;
use super::parameters::Parameters;
use crate::http::Headers;

/// The token, as a JSON string, that the request has for events that bring none: the user of
/// credentials without a password (a token, or a project's secret), or else `project_id` (beside
/// those of a service account), or `api_key`.
///
/// # Errors
///
/// [`DecodeError::Unauthorized`] when the request has no credentials.
pub(super) fn token(
    headers: &Headers<'_>,
    parameters: &Parameters<'_>,
) -> Result<Option<String>, DecodeError> {
    let given = |value: Option<&[u8]>| {
        let value = String::from_utf8(decoded(value.unwrap_or_default()).collect()).ok()?;
        (!value.is_empty()).then_some(value)
    };
    let token = match (basic(headers), given(parameters.api_key)) {
        (Some((user, password)), _) if password.is_empty() => Some(user),
        (Some(_), _) => given(parameters.project_id),
        (None, Some(key)) => Some(key),
        (None, None) => return Err(DecodeError::Unauthorized),
    };
    Ok(token.and_then(|token| serde_json::to_string(&token).ok()))
}

/// User and password of the header `Authorization`; the user is not empty.
fn basic(headers: &Headers<'_>) -> Option<(String, String)> {
    let value = headers.get("authorization")?;
    let (scheme, symbols) = value.split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let (mut scratch, mut text) = (Vec::new(), Vec::new());
    base64::decode_into(symbols.trim_ascii(), &mut scratch, &mut text).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.into(), password.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(authorization: &str, query: &str) -> Result<Option<String>, DecodeError> {
        let entries = [("Authorization", authorization.as_bytes())];
        let headers = if authorization.is_empty() { &entries[..0] } else { &entries };
        let mut parameters = Parameters::default();
        parameters.read(query.as_bytes());
        token(&Headers::new(headers), &parameters)
    }

    #[test]
    fn credentials_name_the_project() {
        let cases = [
            // `t1:`
            ("Basic dDE6", "", Some("\"t1\"")),
            ("basic  dDE6", "api_key=other", Some("\"t1\"")),
            // `a"b:`
            ("Basic YSJiOg==", "", Some("\"a\\\"b\"")),
            // `account.1:secret`
            ("Basic YWNjb3VudC4xOnNlY3JldA==", "", None),
            ("Basic YWNjb3VudC4xOnNlY3JldA==", "project_id=12&api_key=k", Some("\"12\"")),
            ("", "api_key=k%31", Some("\"k1\"")),
            ("Bearer dDE6", "api_key=k", Some("\"k\"")),
        ];
        for (authorization, query, token) in cases {
            assert_eq!(
                token_of(authorization, query),
                Ok(token.map(Into::into)),
                "{authorization}"
            );
        }
    }

    #[test]
    fn what_names_nobody_is_refused() {
        // No colon; no user; no base64; no UTF-8; another scheme; none.
        for authorization in [
            "Basic dDE=",
            "Basic Og==",
            "Basic Ong=",
            "Basic !",
            "Basic /zo=",
            "Bearer dDE6",
            "Basic",
            "",
        ] {
            let refused = token_of(authorization, "project_id=12&api_key=");
            assert_eq!(refused, Err(DecodeError::Unauthorized), "{authorization}");
        }
    }
}
