//! `Marker` and `MaxItems` of the list calls.

use super::query::query_value;
use crate::{ApiError, validate::Violations};

/// Items on a page, at most and by default; AWS's number.
const PAGE_ITEMS_MAX: usize = 50;

/// Which page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Where it starts: what the page before said.
    pub marker: Option<String>,
    /// Most items on it.
    pub max_items: usize,
}

/// Reads the parameters.
pub fn paging(query: &str) -> Result<Paging, ApiError> {
    let mut violations = Violations::default();
    let max_items = match query_value(query, "MaxItems").filter(|t| !t.is_empty()) {
        None => PAGE_ITEMS_MAX as i64,
        Some(text) => {
            let number = text.parse::<i64>().map_err(|_| {
                ApiError::new(crate::ErrorCode::Serialization, "MaxItems is not a number")
            })?;
            violations.range(number, "maxItems", 1, 10_000);
            number
        }
    };
    violations.finish()?;
    let marker = query_value(query, "Marker").filter(|t| !t.is_empty());
    Ok(Paging { marker, max_items: PAGE_ITEMS_MAX.min(max_items as usize) })
}

/// Reads the parameters of `ListFunctions`; the flag asks for all versions.
pub fn list_functions(query: &str) -> Result<(Paging, bool), ApiError> {
    let mut violations = Violations::default();
    let version = query_value(query, "FunctionVersion").filter(|t| !t.is_empty());
    if let Some(version) = &version {
        violations.one_of(version, "functionVersion", &["ALL"]);
    }
    violations.finish()?;
    Ok((paging(query)?, version.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded() {
        assert_eq!(paging("").unwrap(), Paging { marker: None, max_items: 50 });
        assert_eq!(
            paging("MaxItems=10000&Marker=a%2Fb").unwrap(),
            Paging { marker: Some("a/b".into()), max_items: 50 }
        );
        assert_eq!(paging("MaxItems=3").unwrap().max_items, 3);
        assert!(paging("MaxItems=0").is_err() && paging("MaxItems=x").is_err());
        assert!(list_functions("FunctionVersion=ALL").unwrap().1);
        assert!(list_functions("FunctionVersion=invalid").is_err());
    }
}
