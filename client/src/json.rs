//! Values of any serde type, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Client, Error, Store, ValueError};

impl Store {
    /// A value as JSON.
    ///
    /// # Errors
    /// [`ValueError::ToJson`] for one that JSON cannot say.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let json = serde_json::to_vec(value).map_err(ValueError::ToJson)?;
        Ok(Self::from(json))
    }
}

impl Client {
    /// The value of a key, read as JSON; `None` where the server has none.
    ///
    /// # Errors
    /// [`Error`]; [`ValueError::Json`] where the value is no JSON of that type.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<T>, Error> {
        match self.get(key).await? {
            None => Ok(None),
            Some(value) => Ok(Some(serde_json::from_slice(&value.data).map_err(ValueError::Json)?)),
        }
    }
}
