//! The parameters of a tracking request, from its query and its form body.

use super::form::{decoded, pairs};

/// The parameters that the API knows; every other one is left alone. Values are still encoded.
///
/// A switch is on when any of its values is `1`. Of every other one but `data` the first one counts,
/// those of the query before those of the body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parameters<'a> {
    pub(super) data: Option<&'a [u8]>,
    pub(super) data_twice: bool,
    pub(super) redirect: Option<&'a [u8]>,
    pub(super) callback: Option<&'a [u8]>,
    pub(super) api_key: Option<&'a [u8]>,
    pub(super) project_id: Option<&'a [u8]>,
    switches: u8,
}

/// A parameter that is either `1` or off.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Switch {
    Ip = 1,
    Verbose = 2,
    Img = 4,
    Test = 8,
    Strict = 16,
}

#[derive(Clone, Copy, Debug)]
enum Parameter {
    Data,
    Redirect,
    Callback,
    ApiKey,
    ProjectId,
    Switch(Switch),
}

impl Parameter {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"data" => Self::Data,
            b"redirect" => Self::Redirect,
            b"callback" => Self::Callback,
            b"api_key" => Self::ApiKey,
            b"project_id" => Self::ProjectId,
            b"ip" => Self::Switch(Switch::Ip),
            b"verbose" => Self::Switch(Switch::Verbose),
            b"img" => Self::Switch(Switch::Img),
            b"test" => Self::Switch(Switch::Test),
            b"strict" => Self::Switch(Switch::Strict),
            _ => return None,
        })
    }

    /// Names are seldom encoded, but may be.
    fn of_encoded(name: &[u8]) -> Option<Self> {
        if memchr::memchr(b'%', name).is_none() {
            return Self::of(name);
        }
        let mut text = [0; 10];
        let mut length = 0;
        for byte in decoded(name) {
            *text.get_mut(length)? = byte;
            length += 1;
        }
        text.get(..length).and_then(Self::of)
    }
}

impl<'a> Parameters<'a> {
    /// Adds those of a query or of a form body.
    pub(super) fn read(&mut self, form: &'a [u8]) {
        for (name, value) in pairs(form) {
            match Parameter::of_encoded(name) {
                Some(Parameter::Data) if self.data.is_some() => self.data_twice = true,
                Some(Parameter::Data) => self.data = Some(value),
                Some(Parameter::Redirect) => self.redirect = self.redirect.or(Some(value)),
                Some(Parameter::Callback) => self.callback = self.callback.or(Some(value)),
                Some(Parameter::ApiKey) => self.api_key = self.api_key.or(Some(value)),
                Some(Parameter::ProjectId) => self.project_id = self.project_id.or(Some(value)),
                Some(Parameter::Switch(switch)) if decoded(value).eq([b'1']) => {
                    self.switches |= switch as u8;
                }
                Some(Parameter::Switch(_)) | None => {}
            }
        }
    }

    pub(super) fn is_on(&self, switch: Switch) -> bool {
        self.switches & switch as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_only_by_a_1() {
        let mut parameters = Parameters::default();
        parameters.read(b"ip=0&verbose=true&img&test=%31&v%65rbose=1");
        assert!(!parameters.is_on(Switch::Ip));
        assert!(parameters.is_on(Switch::Verbose));
        assert!(!parameters.is_on(Switch::Img));
        assert!(parameters.is_on(Switch::Test));
    }

    #[test]
    fn the_first_of_several_counts_but_data_may_come_once() {
        let mut parameters = Parameters::default();
        parameters.read(b"redirect=a&callback=x&redirect=b&d%61ta=1&unheard-of-parameter%20=7");
        assert!(!parameters.data_twice);
        parameters.read(b"callback=y&data=1");
        assert_eq!(parameters.redirect, Some(&b"a"[..]));
        assert_eq!(parameters.callback, Some(&b"x"[..]));
        assert!(parameters.data_twice);
    }
}
