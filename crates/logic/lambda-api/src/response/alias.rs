//! `AliasConfiguration`, and the listing of them.

use bytes::Bytes;
use hearth_services::control::{Alias, Page};
use serde_json::{Value, json};

/// The body of the operations on one alias; `arn` is its own.
pub fn alias(alias: &Alias, arn: &str) -> Bytes {
    super::json(&configuration(alias, arn))
}

/// The body of `ListAliases`; `arn` makes an alias's.
pub fn aliases(page: &Page<Alias>, arn: impl Fn(&Alias) -> String) -> Bytes {
    let items: Vec<_> = page.items.iter().map(|alias| configuration(alias, &arn(alias))).collect();
    let mut body = json!({ "Aliases": items });
    if let Some(next) = &page.next_marker {
        body["NextMarker"] = next.as_str().into();
    }
    super::json(&body)
}

fn configuration(alias: &Alias, arn: &str) -> Value {
    let record = &alias.record;
    let mut shape = json!({
        "AliasArn": arn,
        "Name": alias.name,
        "FunctionVersion": record.version,
        "Description": record.description,
        "RevisionId": record.revision,
    });
    if let Some((version, weight)) = record.additional {
        let weights = json!({ version.to_string(): weight });
        shape["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
    }
    shape
}
