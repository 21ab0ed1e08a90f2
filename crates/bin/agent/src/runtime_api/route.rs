//! Which operation a request line names.

use hyper::{Method, StatusCode};

/// An operation of the Runtime API.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// Wait for an event.
    Next,
    /// The answer to the event of this id.
    Response(&'a str),
    /// The failure of the event of this id.
    Error(&'a str),
    /// The failure to initialise.
    InitError,
    /// Wait until this is a clone.
    RestoreNext,
    /// The failure to go on in a clone.
    RestoreError,
    /// Wait for the function's environment. Not of AWS's API: for the bootstraps
    /// that start before the function is known.
    Environment,
}

impl<'a> Route<'a> {
    /// Finds the operation, or the status that says why there is none.
    pub(super) fn of(method: &Method, path: &'a str) -> Result<Self, StatusCode> {
        let (wanted, route) = Self::at(path).ok_or(StatusCode::NOT_FOUND)?;
        if *method == wanted { Ok(route) } else { Err(StatusCode::METHOD_NOT_ALLOWED) }
    }

    fn at(path: &'a str) -> Option<(Method, Self)> {
        if path == "/hearth/environment" {
            return Some((Method::GET, Self::Environment));
        }
        let operation = path.strip_prefix("/2018-06-01/runtime/")?;
        match operation {
            "init/error" => return Some((Method::POST, Self::InitError)),
            "restore/next" => return Some((Method::GET, Self::RestoreNext)),
            "restore/error" => return Some((Method::POST, Self::RestoreError)),
            _ => {}
        }
        let invocation = operation.strip_prefix("invocation/")?;
        if invocation == "next" {
            return Some((Method::GET, Self::Next));
        }
        let (id, what) = invocation.split_once('/')?;
        match what {
            "response" => Some((Method::POST, Self::Response(id))),
            "error" => Some((Method::POST, Self::Error(id))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_operations_and_nothing_else() {
        let base = "/2018-06-01/runtime";
        for (method, path, route) in [
            (Method::GET, "/invocation/next", Ok(Route::Next)),
            (Method::POST, "/invocation/a-1/response", Ok(Route::Response("a-1"))),
            (Method::POST, "/invocation/a-1/error", Ok(Route::Error("a-1"))),
            (Method::POST, "/init/error", Ok(Route::InitError)),
            (Method::GET, "/restore/next", Ok(Route::RestoreNext)),
            (Method::POST, "/restore/error", Ok(Route::RestoreError)),
            (Method::POST, "/invocation/next", Err(StatusCode::METHOD_NOT_ALLOWED)),
            (Method::GET, "/init/error", Err(StatusCode::METHOD_NOT_ALLOWED)),
            (Method::GET, "/invocation/a/b/response", Err(StatusCode::NOT_FOUND)),
            (Method::GET, "/invocation/", Err(StatusCode::NOT_FOUND)),
            (Method::GET, "", Err(StatusCode::NOT_FOUND)),
        ] {
            assert_eq!(Route::of(&method, &format!("{base}{path}")), route, "{method} {path}");
        }
        assert_eq!(Route::of(&Method::GET, "/hearth/environment"), Ok(Route::Environment));
        assert_eq!(Route::of(&Method::GET, "/"), Err(StatusCode::NOT_FOUND));
    }
}
