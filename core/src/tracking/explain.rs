//! What a request is taken for, step by step: for whoever wants to know why it is recorded or not.

use alloc::string::String;
use alloc::vec::Vec;

use super::body::{Body, begins_json};
use super::decoder::{Decoder, Source, choose_source};
use super::error::DecodeError;
use super::form;
use super::limits::TrackingLimits;
use super::multipart::{self, NotMultipart};
use super::parameters::Parameters;
use crate::http::Request;

/// One step on the way from a request to the text of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeStep {
    /// The query has parameters, or the body, which is a form, has.
    Parameters {
        /// They are the body's.
        in_body: bool,
        /// Each name with the length of its value, as it came.
        names: Vec<(String, usize)>,
    },
    /// A compressed body was made plain.
    Inflated {
        /// Its length as it came.
        from: usize,
        /// Its length.
        to: usize,
    },
    /// The body is a multipart form.
    Multipart {
        /// Its length.
        length: usize,
    },
    /// The body is JSON.
    JsonBody {
        /// Its length.
        length: usize,
    },
    /// The body is JSON, a record in each line.
    Lines {
        /// Its length.
        length: usize,
    },
    /// `data` is JSON; percent-encoding was undone.
    JsonData {
        /// Its length as it came.
        from: usize,
        /// Its length.
        to: usize,
    },
    /// `data` is base64, which was undone.
    Base64 {
        /// Its length as it came.
        from: usize,
        /// Its length.
        to: usize,
    },
}

/// What [`explain`] found.
///
/// ```
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::{DecodeError, Explained, TrackingLimits, explain};
///
/// // The base64 was cut on its way.
/// let request = Request::new(Method::Get, "/track", "data=e30x!");
/// let Explained { steps, text, .. } = explain(&request, &TrackingLimits::default());
/// assert!(matches!(text, Err(DecodeError::Base64 { at: 4 })));
/// assert_eq!(steps.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// What was seen and undone, in order.
    pub steps: Vec<DecodeStep>,
    /// The text of the records, or why there is none.
    pub text: Result<Vec<u8>, DecodeError>,
}

/// Goes the way of [`Decoder::decode`](super::Decoder::decode) up to the text of the records, and tells its steps.
///
/// ```
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::{DecodeStep, TrackingLimits, explain};
///
/// let request = Request::new(Method::Get, "/track", "data=e30%3D");
/// let explained = explain(&request, &TrackingLimits::default());
/// assert_eq!(explained.steps[1], DecodeStep::Base64 { from: 6, to: 2 });
/// assert_eq!(explained.text, Ok(b"{}".to_vec()));
/// ```
pub fn explain(request: &Request<'_>, limits: &TrackingLimits) -> Explained {
    let mut steps = Vec::new();
    let text = text(request, limits, &mut steps);
    Explained { steps, text }
}

fn text(
    request: &Request<'_>,
    limits: &TrackingLimits,
    steps: &mut Vec<DecodeStep>,
) -> Result<Vec<u8>, DecodeError> {
    let mut inflated = Vec::new();
    let form;
    let mut parameters = Parameters::default();
    parameters.read(request.query.as_bytes());
    if !request.query.is_empty() {
        steps.push(names(request.query.as_bytes(), false));
    }
    let body = Body::of(request, limits, &mut inflated)?;
    let plain = match body {
        Body::None => &[],
        Body::Json(body) | Body::Lines(body) | Body::Form(body) | Body::Multipart(_, body) => body,
    };
    if !plain.is_empty() && !core::ptr::eq(plain, request.body) {
        steps.push(DecodeStep::Inflated { from: request.body.len(), to: plain.len() });
    }
    match body {
        Body::None => {}
        Body::Json(json) => steps.push(DecodeStep::JsonBody { length: json.len() }),
        Body::Lines(lines) => steps.push(DecodeStep::Lines { length: lines.len() }),
        Body::Form(form) => {
            steps.push(names(form, true));
            parameters.read(form);
        }
        Body::Multipart(content_type, body) => {
            steps.push(DecodeStep::Multipart { length: body.len() });
            form = multipart::to_form(content_type, body)
                .map_err(|NotMultipart| DecodeError::Multipart)?;
            steps.push(names(&form, true));
            parameters.read(&form);
        }
    }
    let source = choose_source(&parameters, body)?;
    let mut decoder = Decoder::new();
    let text = decoder.undo_encoding(&source)?.to_vec();
    if let Source::Data(encoded) = source {
        let (from, to) = (encoded.len(), text.len());
        steps.push(if begins_json(form::decoded(encoded)) {
            DecodeStep::JsonData { from, to }
        } else {
            DecodeStep::Base64 { from, to }
        });
    }
    Ok(text)
}

fn names(form: &[u8], in_body: bool) -> DecodeStep {
    let name = |name| {
        let name: Vec<u8> = form::decoded(name).collect();
        String::from_utf8_lossy(&name).into_owned()
    };
    let names = form::pairs(form).map(|(it, value)| (name(it), value.len())).collect();
    DecodeStep::Parameters { in_body, names }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::http::{Headers, Method};

    fn post(content_type: &[u8], body: &[u8]) -> Explained {
        let headers = [("content-type", content_type)];
        let mut request = Request::new(Method::Post, "/track", "verbose=1");
        request.headers = Headers::new(&headers);
        request.body = body;
        explain(&request, &TrackingLimits::default())
    }

    #[test]
    fn each_place_of_records_has_its_steps() {
        let query = DecodeStep::Parameters { in_body: false, names: vec![("verbose".into(), 1)] };
        let form =
            |length| DecodeStep::Parameters { in_body: true, names: vec![("data".into(), length)] };
        let cases: [(&[u8], &[u8], Vec<DecodeStep>); 5] = [
            (b"application/json", b"{}", vec![DecodeStep::JsonBody { length: 2 }]),
            (b"application/x-ndjson", b"{}", vec![DecodeStep::Lines { length: 2 }]),
            (b"", b"d%61ta=e30", vec![form(3), DecodeStep::Base64 { from: 3, to: 2 }]),
            (b"", b"data=%7B%7D", vec![form(6), DecodeStep::JsonData { from: 6, to: 2 }]),
            (
                b"multipart/form-data; boundary=b",
                b"--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{}\r\n--b--",
                vec![
                    DecodeStep::Multipart { length: 61 },
                    // A part has no percent encoding.
                    form(2),
                    DecodeStep::JsonData { from: 2, to: 2 },
                ],
            ),
        ];
        for (content_type, body, steps) in cases {
            let explained = post(content_type, body);
            let steps: Vec<DecodeStep> = [query.clone()].into_iter().chain(steps).collect();
            assert_eq!(explained, Explained { steps, text: Ok(b"{}".to_vec()) });
        }
    }

    #[test]
    fn a_request_without_records_is_explained_up_to_where_they_are_missing() {
        assert_eq!(post(b"image/png", b"x").text, Err(DecodeError::ContentType));
        let form = post(b"", b"date=e30");
        assert_eq!((form.steps.len(), form.text), (2, Err(DecodeError::DataMissing)));
        let multipart = post(b"multipart/form-data; boundary=b", b"--b\r\n");
        assert_eq!((multipart.steps.len(), multipart.text), (2, Err(DecodeError::Multipart)));
        let base64 = post(b"", b"data=e3~0");
        assert_eq!((base64.steps.len(), base64.text), (2, Err(DecodeError::Base64 { at: 2 })));
    }
}
