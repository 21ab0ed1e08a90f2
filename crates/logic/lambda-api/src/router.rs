//! From method and path to operation.

use crate::{ApiError, ErrorCode, Operation};
use http::Method;
use percent_encoding::percent_decode_str;

/// Finds operations. Paths are matched as they came over the wire, so an
/// encoded slash stays inside its parameter.
pub struct Router {
    methods: Vec<(Method, matchit::Router<Vec<Operation>>)>,
}

/// An operation and the parameters that its path carried.
#[derive(Debug)]
pub struct Route<'r, 'p> {
    /// The operation.
    pub operation: Operation,
    params: matchit::Params<'r, 'p>,
}

impl Route<'_, '_> {
    /// A path parameter, decoded.
    pub fn param(&self, name: &str) -> Result<String, ApiError> {
        let raw = self.params.get(name).unwrap_or_default();
        percent_decode_str(raw)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| ApiError::new(ErrorCode::Validation, "the path is not valid UTF-8"))
    }
}

impl Router {
    /// A router over every [`Operation`].
    pub fn new() -> Self {
        let mut by_path: Vec<(Method, &'static str, Vec<Operation>)> = Vec::new();
        for &operation in Operation::ALL {
            let (method, path) = (operation.method(), operation.path());
            match by_path.iter_mut().find(|(m, p, _)| *m == method && *p == path) {
                Some((_, _, operations)) => operations.push(operation),
                None => by_path.push((method, path, vec![operation])),
            }
        }
        let mut methods: Vec<(Method, matchit::Router<Vec<Operation>>)> = Vec::new();
        for (method, path, mut operations) in by_path {
            // The one that asks for a query parameter goes before the one that does not.
            operations.sort_by_key(|o| o.query().is_empty());
            let at = match methods.iter().position(|(m, _)| *m == method) {
                Some(at) => at,
                None => {
                    methods.push((method, matchit::Router::new()));
                    methods.len() - 1
                }
            };
            methods[at].1.insert(path, operations).expect("the table's paths do not clash");
        }
        Self { methods }
    }

    /// The operation for a request, if there is one. `path` and `query` are as
    /// they came over the wire.
    pub fn route<'r, 'p>(
        &'r self,
        method: &Method,
        path: &'p str,
        query: &str,
    ) -> Option<Route<'r, 'p>> {
        // Older SDKs end some paths in a slash.
        let path = path.strip_suffix('/').filter(|p| !p.is_empty()).unwrap_or(path);
        let (_, router) = self.methods.iter().find(|(m, _)| m == method)?;
        let found = router.at(path).ok()?;
        let operation = found
            .value
            .iter()
            .find(|o| o.query().is_empty() || query.split('&').any(|pair| pair == o.query()))?;
        Some(Route { operation: *operation, params: found.params })
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_reachable() {
        let router = Router::new();
        for &operation in Operation::ALL {
            let path = operation.path().replace('{', "%7B").replace('}', "%7D");
            let route = router.route(&operation.method(), &path, operation.query()).unwrap();
            assert_eq!(route.operation, operation);
        }
    }

    #[test]
    fn parameters_are_decoded_after_the_match() {
        let router = Router::new();
        let path = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Ax%3A1%3Afunction%3Aa%2Fb";
        let route = router.route(&Method::GET, path, "").unwrap();
        assert_eq!(route.operation, Operation::ListTags);
        assert_eq!(route.param("Resource").unwrap(), "arn:aws:lambda:x:1:function:a/b");
    }

    #[test]
    fn queries_tell_operations_apart_and_trailing_slashes_do_not() {
        let router = Router::new();
        let layers = "/2018-10-31/layers";
        let at = |path, query| router.route(&Method::GET, path, query).map(|r| r.operation);
        assert_eq!(at(layers, ""), Some(Operation::ListLayers));
        assert_eq!(at(layers, "find=LayerVersion&Arn=x"), Some(Operation::GetLayerVersionByArn));
        assert_eq!(at("/2015-03-31/functions/", ""), Some(Operation::ListFunctions));
        assert_eq!(at("/", ""), None);
        assert_eq!(at("/2015-03-31/functions/a/b/c", ""), None);
    }
}
