//! Collects what breaks the model's constraints and words it as AWS does:
//! `2 validation errors detected: Value '…' at 'memorySize' failed to satisfy
//! constraint: …; Value …`.

use crate::{ApiError, ErrorCode};

/// Longest value that an error repeats.
const VALUE_ECHO_CHARS_MAX: usize = 256;

/// The violations found so far in one request.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<String>);

impl Violations {
    /// Notes one.
    pub(crate) fn add(&mut self, value: &str, member: &str, constraint: &str) {
        let mut shown: String = value.chars().take(VALUE_ECHO_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        self.0.push(format!(
            "Value '{shown}' at '{member}' failed to satisfy constraint: {constraint}"
        ));
    }

    /// Notes a member that is not there.
    pub(crate) fn missing(&mut self, member: &str) {
        self.0.push(format!(
            "Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ));
    }

    /// Checks a number's range.
    pub(crate) fn range(&mut self, value: i64, member: &str, min: i64, max: i64) {
        if value < min {
            let text = format!("Member must have value greater than or equal to {min}");
            self.add(&value.to_string(), member, &text);
        } else if value > max {
            let text = format!("Member must have value less than or equal to {max}");
            self.add(&value.to_string(), member, &text);
        }
    }

    /// Checks a text's length in characters.
    pub(crate) fn length(&mut self, value: &str, member: &str, min: usize, max: usize) {
        let length = value.chars().count();
        if length < min {
            let text = format!("Member must have length greater than or equal to {min}");
            self.add(value, member, &text);
        } else if length > max {
            let text = format!("Member must have length less than or equal to {max}");
            self.add(value, member, &text);
        }
    }

    /// Notes a value that its regular expression does not match.
    pub(crate) fn pattern(&mut self, matches: bool, value: &str, member: &str, pattern: &str) {
        if !matches {
            let text = format!("Member must satisfy regular expression pattern: {pattern}");
            self.add(value, member, &text);
        }
    }

    /// Notes a value outside its set.
    pub(crate) fn one_of(&mut self, value: &str, member: &str, set: &[&str]) {
        if !set.contains(&value) {
            let text = format!("Member must satisfy enum value set: [{}]", set.join(", "));
            self.add(value, member, &text);
        }
    }

    /// `ValidationException` if there was any.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let plural = match self.0.len() {
            0 => return Ok(()),
            1 => "",
            _ => "s",
        };
        let text =
            format!("{} validation error{plural} detected: {}", self.0.len(), self.0.join("; "));
        Err(ApiError::new(ErrorCode::Validation, text))
    }
}
