//! Names: the hash of what they name, so that whoever reads can check.

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("a name is 64 hexadecimal digits")]
pub struct InvalidHash;

macro_rules! hash_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// The name of these sealed bytes.
            pub fn of(sealed: &[u8]) -> Self {
                Self(*blake3::hash(sealed).as_bytes())
            }

            /// A name that was read.
            pub fn from_bytes(hash: [u8; 32]) -> Self {
                Self(hash)
            }

            /// The hash itself.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(&self.0[..8]))
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidHash;
            fn from_str(s: &str) -> Result<Self, InvalidHash> {
                // One text for one name: it is also a file's name.
                if s.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(InvalidHash);
                }
                let mut hash = [0; 32];
                hex::decode_to_slice(s, &mut hash).map_err(|_| InvalidHash)?;
                Ok(Self(hash))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidHash;
            fn try_from(s: String) -> Result<Self, InvalidHash> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }
    };
}

hash_newtype! {
    /// A chunk's name: BLAKE3 of its sealed bytes.
    ChunkName
}
hash_newtype! {
    /// A stored file: BLAKE3 of its sealed manifest.
    ManifestId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_text_and_only_that() {
        let id = ManifestId::of(b"bytes");
        let text = id.to_string();
        assert_eq!(text.parse::<ManifestId>().unwrap(), id);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("{text:?}"));
        for wrong in [text.to_uppercase(), text[1..].to_owned(), format!("{text}0"), "../x".into()]
        {
            assert!(wrong.parse::<ManifestId>().is_err(), "{wrong}");
        }
    }
}
