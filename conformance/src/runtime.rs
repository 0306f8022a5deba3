//! What the server may serve connections on, as a test's parameter.

/// A value of `--runtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// `tokio`
    Tokio,
    /// `async-std`
    AsyncStd,
    /// `mio`
    Mio,
}

impl Runtime {
    /// What the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::AsyncStd => "async-std",
            Self::Mio => "mio",
        }
    }
}

/// Makes tests of functions that take a [`Runtime`](crate::Runtime): one for each function and each
/// runtime, named `tokio::function` and so on.
///
/// ```
/// use windhover_conformance::{Runtime, on_each_runtime};
///
/// fn it_has_a_name(runtime: Runtime) {
///     assert!(!runtime.name().is_empty());
/// }
///
/// on_each_runtime!(it_has_a_name);
/// ```
#[macro_export]
macro_rules! on_each_runtime {
    ($($test:ident),+ $(,)?) => {
        mod tokio {
            $(#[test] fn $test() { super::$test($crate::Runtime::Tokio); })+
        }
        mod async_std {
            $(#[test] fn $test() { super::$test($crate::Runtime::AsyncStd); })+
        }
        mod mio {
            $(#[test] fn $test() { super::$test($crate::Runtime::Mio); })+
        }
    };
}
