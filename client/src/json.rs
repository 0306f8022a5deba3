//! Values of any serde type, as JSON.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Client, Error, Store, Value, ValueError};

impl Store {
    /// A value as JSON.
    ///
    /// # Errors
    /// [`ValueError::ToJson`] for one that JSON cannot say.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, ValueError> {
        match serde_json::to_vec(value) {
            Ok(json) => Ok(Self::from(json)),
            Err(error) => Err(ValueError::ToJson(Arc::new(error))),
        }
    }
}

impl Value {
    /// The value, read as JSON.
    ///
    /// # Errors
    /// [`ValueError::Json`] where it is no JSON of that type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        serde_json::from_slice(&self.data).map_err(|error| ValueError::Json(Arc::new(error)))
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
        self.get_with(key.as_ref(), |value| Ok(value.json()?)).await
    }
}
