//! The canonical request: the one spelling of a request that both sides hash.
//!
//! ```text
//! METHOD \n path \n query \n name:value \n … \n \n signed;headers \n hex(sha256(body))
//! ```

use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use std::borrow::Cow;

/// Everything but RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, for a whole path: its slashes stay.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The path as it came over the wire (so already encoded once), normalised and
/// encoded a second time.
pub(crate) fn path(wire: &str, out: &mut Vec<u8>) {
    let normal: Cow<'_, str> = if wire.contains("//") || wire.contains("/.") {
        Cow::Owned(normalize(wire))
    } else {
        Cow::Borrowed(if wire.is_empty() { "/" } else { wire })
    };
    for piece in utf8_percent_encode(&normal, PATH) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Removes empty and dot segments (RFC 3986, section 5.2.4, on an absolute path).
fn normalize(wire: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in wire.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut path = format!("/{}", segments.join("/"));
    let ends_in_slash = ["/", "/.", "/.."].iter().any(|end| wire.ends_with(end));
    if ends_in_slash && !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// The query's parameters, decoded, in wire order.
pub(crate) fn query_pairs(wire: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    wire.split('&').filter(|p| !p.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        // A plus in a query is a space, here as in HTML forms.
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode(spaced.as_bytes()).collect())
    } else {
        percent_decode(text.as_bytes()).into()
    }
}

/// The query, each part encoded one way, sorted, without the parameter `omit`.
pub(crate) fn query(wire: &str, omit: Option<&str>, out: &mut Vec<u8>) {
    let encode = |bytes: &[u8]| percent_encoding::percent_encode(bytes, QUERY).to_string();
    let mut pairs: Vec<(String, String)> = query_pairs(wire)
        .filter(|(name, _)| omit.is_none_or(|o| name.as_ref() != o.as_bytes()))
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    for (n, (name, value)) in pairs.iter().enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
    }
}

/// One `name:value\n` line; values of a repeated header are joined by commas,
/// runs of spaces become one.
pub(crate) fn header(name: &str, headers: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    for (n, value) in headers.get_all(name).iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        let words = value.as_bytes().split(|b| *b == b' ').filter(|w| !w.is_empty());
        for (n, word) in words.enumerate() {
            if n > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_path(wire: &str) -> String {
        let mut out = Vec::new();
        path(wire, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_normalised_and_encoded_twice() {
        assert_eq!(canonical_path(""), "/");
        assert_eq!(canonical_path("/a//b/./c/../d"), "/a/b/d");
        assert_eq!(canonical_path("/tags/arn%3Aaws"), "/tags/arn%253Aaws");
        assert_eq!(canonical_path("/a/~b_c-d.e:f"), "/a/~b_c-d.e%3Af");
        assert_eq!(canonical_path("/a/b/.."), "/a/");
    }

    #[test]
    fn queries_are_sorted_by_their_encoded_form() {
        let mut out = Vec::new();
        query("b=2&a=%7e&a=+&c&X-Amz-Signature=zz", Some("X-Amz-Signature"), &mut out);
        assert_eq!(out, b"a=%20&a=~&b=2&c=");
    }
}
