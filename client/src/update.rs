//! Read, change, store unless somebody else was faster, and again.

use std::time::Instant;

use crate::{Cas, Client, Error, ErrorKind, Store, Value};

/// So often an item is read and changed before the update gives up.
const MAX_TRIES: u32 = 16;

impl Client {
    /// Changes an item, without losing what others change at the same time: reads it, has `change` make
    /// the new one of it (of `None` where there is none), and stores that only where the item is still what
    /// was read; if not, again from the start. The time to expire is the new value's.
    ///
    /// `change` may be called several times; where it returns `None`, the item stays as it is. What was
    /// stored, if anything.
    ///
    /// ```
    /// # async fn example(client: windhover_client::Client) -> Result<(), windhover_client::Error> {
    /// let seen = |current: Option<windhover_client::Value>| {
    ///     let mut names = current.map(|value| value.data.to_vec()).unwrap_or_default();
    ///     names.extend_from_slice(b"kestrel,");
    ///     Some(names)
    /// };
    /// client.update("birds", seen).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Contended`] where others were faster sixteen times; [`Error`] as of every call, all tries
    /// within one timeout. With [`Outcome::Unknown`](crate::Outcome::Unknown) the new value may be there.
    pub async fn update<S: Into<Store>>(
        &self,
        key: impl AsRef<[u8]>,
        mut change: impl FnMut(Option<Value>) -> Option<S>,
    ) -> Result<Option<Store>, Error> {
        let change = |current| Ok(change(current).map(|new| ((), new.into())));
        let stored = self.try_update(key.as_ref(), change).await?;
        Ok(stored.map(|((), store)| store))
    }

    /// The same for values as JSON, with the time to expire that the new one gets. What was stored, if
    /// anything.
    ///
    /// ```
    /// # async fn example(client: windhover_client::Client) -> Result<(), windhover_client::Error> {
    /// use std::time::Duration;
    ///
    /// let day = Duration::from_secs(24 * 3600);
    /// let total = client.update_json("scores", day, |current: Option<Vec<u32>>| {
    ///     let mut scores = current.unwrap_or_default();
    ///     scores.push(7);
    ///     Some(scores)
    /// });
    /// println!("{:?}", total.await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`update`](Self::update); [`ErrorKind::Value`] for a value that is no JSON of that type, which stays
    /// as it is.
    #[cfg(feature = "json")]
    pub async fn update_json<T: serde::Serialize + serde::de::DeserializeOwned>(
        &self,
        key: impl AsRef<[u8]>,
        expires: impl Into<crate::Expires>,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let expires = expires.into();
        let change = |current: Option<Value>| {
            let current = current.map(|value| value.json()).transpose()?;
            let Some(new) = change(current) else {
                return Ok(None);
            };
            let store = Store::json(&new)?.expires(expires);
            Ok(Some((new, store)))
        };
        let stored = self.try_update(key.as_ref(), change).await?;
        Ok(stored.map(|(new, _)| new))
    }

    async fn try_update<T>(
        &self,
        key: &[u8],
        mut change: impl FnMut(Option<Value>) -> Result<Option<(T, Store)>, ErrorKind>,
    ) -> Result<Option<(T, Store)>, Error> {
        let until = Instant::now() + self.timeout;
        let in_time = || self.with_timeout(until.saturating_duration_since(Instant::now()));
        let told = |kind| self.error_of(key, kind);
        for _ in 0..MAX_TRIES {
            let current = in_time().gets(key).await?;
            let unique = match &current {
                // A reply to `gets` without it is none that is known.
                Some(value) => {
                    let unique = value.cas.ok_or(ErrorKind::lacks("VALUE without a cas unique"));
                    Some(unique.map_err(told)?)
                }
                None => None,
            };
            let Some((new, store)) = change(current).map_err(told)? else {
                return Ok(None);
            };
            let done = match unique {
                Some(unique) => in_time().cas(key, store.clone(), unique).await? == Cas::Stored,
                None => in_time().add(key, store.clone()).await?,
            };
            if done {
                return Ok(Some((new, store)));
            }
        }
        Err(told(ErrorKind::Contended { tries: MAX_TRIES }))
    }
}
