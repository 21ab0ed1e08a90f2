//! Query parameters.

use percent_encoding::percent_decode_str;

/// All values of a parameter, decoded, in order.
pub(super) fn query_values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = String> + 'q {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value))
    })
}

/// The first value of a parameter, decoded.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    query_values(query, name).next()
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
