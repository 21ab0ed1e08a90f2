//! What a user is told of a version that could not be made.

use hearth_services::worker::{FunctionFailure, InitFailure};
use serde::Deserialize;

/// Most characters of a function's own words that a reason repeats.
const OWN_WORDS_CHARS_MAX: usize = 500;

pub(super) const NO_CAPACITY: &str = "There was no room on this server to initialise the function \
     in. Publish it again once there is: other sandboxes end, or the function needs less memory.";
pub(super) const FAILED: &str = "This server could not take a snapshot of the initialised \
     function, which is no fault of the function. Publish it again; if that fails too, the \
     server's log says why.";

/// The error that a runtime reports.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reported {
    error_type: String,
    #[serde(default)]
    error_message: String,
}

/// Why a function did not initialise, in its own words as far as it has some.
pub(super) fn init_failed(failure: &InitFailure) -> String {
    let words = match failure {
        InitFailure::Befell { error_type, text } => Some(format!("{error_type}: {text}")),
        InitFailure::Reported(FunctionFailure { body }) => serde_json::from_slice(body)
            .ok()
            .map(|r: Reported| format!("{}: {}", r.error_type, r.error_message)),
    };
    match words {
        Some(words) => format!("The function failed to initialise: {}", plain(&words)),
        None => "The function failed to initialise. Its log says why.".to_owned(),
    }
}

/// A function may say anything: one line of it, not too long.
fn plain(words: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut plain: String = words.chars().take(OWN_WORDS_CHARS_MAX).map(line).collect();
    if words.chars().nth(OWN_WORDS_CHARS_MAX).is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(body: &str) -> String {
        init_failed(&InitFailure::Reported(FunctionFailure { body: body.to_owned().into() }))
    }

    #[test]
    fn a_reason_has_the_functions_own_words_and_no_more() {
        let told = reported(
            r#"{"errorMessage":"Unable to import module 'app'","errorType":"Runtime.ImportModuleError","stackTrace":[]}"#,
        );
        assert_eq!(
            told,
            "The function failed to initialise: Runtime.ImportModuleError: Unable to import \
             module 'app'"
        );
        let text = "Runtime exited with error: exit status 1".to_owned();
        let befell = InitFailure::Befell { error_type: "Runtime.ExitError".into(), text };
        assert!(
            init_failed(&befell).ends_with("ExitError: Runtime exited with error: exit status 1")
        );
        for nonsense in ["", "[]", "{}", r#"{"errorType":7}"#] {
            assert_eq!(reported(nonsense), "The function failed to initialise. Its log says why.");
        }
        let long = reported(&format!(
            r#"{{"errorType":"E\n\u001b","errorMessage":"{}"}}"#,
            "é".repeat(9_000)
        ));
        assert!(long.chars().count() < OWN_WORDS_CHARS_MAX + 50 && long.ends_with('…'));
        assert!(!long.contains(char::is_control));
    }
}
