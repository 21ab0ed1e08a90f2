//! Page markers: where a listing goes on. Opaque to users, and only ever a
//! position within the caller's own account.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hearth_services::control::ControlError;
use hearth_types::{FunctionName, Version};

/// The last item of the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) name: FunctionName,
    pub(crate) version: Version,
}

impl Marker {
    pub(crate) fn encode(&self) -> String {
        BASE64.encode(format!("{}/{}", self.name, self.version))
    }

    pub(crate) fn decode(text: &str) -> Result<Self, ControlError> {
        let parse = || {
            let bytes = BASE64.decode(text).ok()?;
            let text = std::str::from_utf8(&bytes).ok()?;
            let (name, version) = text.split_once('/')?;
            Some(Self { name: name.parse().ok()?, version: version.parse().ok()? })
        };
        parse().ok_or_else(|| ControlError::Invalid("Invalid pagination token".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_round_trip_and_forged_ones_are_refused() {
        for version in [Version::Latest, Version::Published(7)] {
            let marker = Marker { name: "f-1".parse().unwrap(), version };
            assert_eq!(Marker::decode(&marker.encode()).unwrap(), marker);
        }
        for text in ["", "f/1", "../x/1", "f", "f/0", "f/1/2", "\u{e9}/1"] {
            assert!(Marker::decode(&BASE64.encode(text)).is_ok() == (text == "f/1"), "{text:?}");
        }
        assert!(Marker::decode("not base64!").is_err());
    }
}
