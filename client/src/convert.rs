//! What values are made of, and what they are read as.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::{Value, ValueError};

/// What can be the data of a value or of a queue's item: bytes, text, or a number in decimal, as `incr`
/// wants it.
///
/// What is owned is taken over, what is borrowed is copied. A static is sent without a copy as
/// [`Bytes::from_static`], a shared value as [`Bytes`].
///
/// ```
/// use std::borrow::Cow;
/// use windhover_client::{IntoBytes, Store};
///
/// let local = String::from("hello");
/// assert_eq!(Store::from(&local), Store::from("hello"));
/// assert_eq!(Store::from(Cow::from(&local)), Store::from_static(b"hello"));
/// assert_eq!(42_u64.into_bytes(), [52, 50].into_bytes());
/// ```
pub trait IntoBytes {
    /// The data.
    fn into_bytes(self) -> Bytes;
}

/// What a value can be read as.
///
/// ```
/// # async fn example(client: windhover_client::Client) -> Result<(), windhover_client::Error> {
/// let visits: Option<u64> = client.get_as("visits").await?;
/// let name = client.get_as::<String>("name").await?;
/// # drop((visits, name));
/// # Ok(())
/// # }
/// ```
pub trait FromValue: Sized {
    /// The value as this type.
    ///
    /// # Errors
    /// [`ValueError`] for one that is none.
    fn from_value(value: Value) -> Result<Self, ValueError>;
}

macro_rules! owned {
    ($($of:ty),*) => {$(
        impl IntoBytes for $of {
            fn into_bytes(self) -> Bytes {
                self.into()
            }
        }
    )*};
}

macro_rules! copied {
    ($($of:ty),*) => {$(
        impl IntoBytes for $of {
            fn into_bytes(self) -> Bytes {
                Bytes::copy_from_slice(self.as_ref())
            }
        }
    )*};
}

macro_rules! numbers {
    ($($of:ty),*) => {$(
        /// In decimal.
        impl IntoBytes for $of {
            fn into_bytes(self) -> Bytes {
                self.to_string().into()
            }
        }

        /// Of decimal digits; the spaces behind them with which `decr` fills up do not count.
        impl FromValue for $of {
            fn from_value(value: Value) -> Result<Self, ValueError> {
                value.number()
            }
        }
    )*};
}

owned!(Bytes, BytesMut, Vec<u8>, Box<[u8]>, String);
copied!(&str, &String, &[u8], &Vec<u8>);
numbers!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

impl IntoBytes for &Bytes {
    fn into_bytes(self) -> Bytes {
        self.clone()
    }
}

impl<const N: usize> IntoBytes for [u8; N] {
    fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self)
    }
}

impl<const N: usize> IntoBytes for &[u8; N] {
    fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

impl IntoBytes for Cow<'_, str> {
    fn into_bytes(self) -> Bytes {
        match self {
            Cow::Borrowed(text) => text.into_bytes(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl IntoBytes for Cow<'_, [u8]> {
    fn into_bytes(self) -> Bytes {
        match self {
            Cow::Borrowed(bytes) => bytes.into_bytes(),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        Ok(value)
    }
}

impl FromValue for Bytes {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        Ok(value.data)
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        Ok(value.data.into())
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        let text = String::from_utf8(value.data.into());
        text.map_err(|error| ValueError::NotText(error.utf8_error()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    fn value(data: &'static [u8]) -> Value {
        Value { data: Bytes::from_static(data), flags: 0, cas: None }
    }

    #[test]
    fn whatever_holds_bytes_is_stored_as_them() {
        let local = "hello".to_owned();
        for store in [
            Store::from("hello"),
            Store::from(local.as_str()),
            Store::from(&local),
            Store::from(local.as_bytes()),
            Store::from(local.as_bytes().to_vec()),
            Store::from(&local.as_bytes().to_vec()),
            Store::from(b"hello"),
            Store::from(*b"hello"),
            Store::from(local.as_bytes().to_vec().into_boxed_slice()),
            Store::from(Cow::from("hello")),
            Store::from(Cow::<str>::from(local.clone())),
            Store::from(Cow::from(local.as_bytes())),
            Store::from(Bytes::from_static(b"hello")),
            Store::from(&Bytes::from_static(b"hello")),
            Store::from(BytesMut::from("hello")),
            Store::from_static(b"hello"),
            Store::from(local.clone()),
        ] {
            assert_eq!(store.data, "hello");
        }
        assert_eq!(Store::from(u64::MAX).data, "18446744073709551615");
        assert_eq!(Store::from(-7).data, "-7");
    }

    #[test]
    fn a_static_is_not_copied_when_it_is_named_one() {
        const HELLO: &[u8] = b"hello";
        assert_eq!(Store::from_static(HELLO).data.as_ptr(), HELLO.as_ptr());
    }

    #[test]
    fn a_value_is_read_as_what_it_is() {
        assert_eq!(u64::from_value(value(b"42")).unwrap(), 42);
        // What `decr` leaves of 100.
        assert_eq!(u8::from_value(value(b"99 ")).unwrap(), 99);
        assert_eq!(i64::from_value(value(b"-42")).unwrap(), -42);
        assert_eq!(String::from_value(value("gr\u{fc}n".as_bytes())).unwrap(), "gr\u{fc}n");
        assert_eq!(Vec::from_value(value(b"\xff")).unwrap(), b"\xff");
        assert_eq!(value(b"green").text().unwrap(), "green");
    }

    #[test]
    fn a_value_that_is_something_else_is_an_error_that_says_so() {
        for (data, number) in
            [(&b""[..], "''"), (b" 1", "' 1'"), (b"1x", "'1x'"), (b"300", "'300'")]
        {
            let error = u8::from_value(value(data)).unwrap_err();
            assert!(matches!(error, ValueError::NotNumber { .. }), "{error:?}");
            assert!(error.to_string().contains(number), "{error}");
        }
        // A long one is not told whole.
        let error = value(&[b'x'; 1000]).number::<u64>().unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
        let error = String::from_value(value(b"a\xff")).unwrap_err();
        assert!(matches!(error, ValueError::NotText(_)), "{error:?}");
        assert_eq!(value(b"a\xff").text().unwrap_err().to_string(), error.to_string());
    }
}
