//! A secret access key and the signing keys derived from it.

use crate::{SERVICE, scope::TERMINATOR};
use hearth_types::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Mutex;

/// Signing keys that one secret remembers. A client uses one per region and
/// day, so a handful serves all; the bound keeps a caller that invents regions
/// from growing it.
const DERIVED_KEYS_MAX: usize = 8;

/// HMAC-SHA-256, keyed and ready to be fed.
pub(crate) type HmacSha256 = Hmac<Sha256>;

/// A secret access key. Deriving a signing key takes four HMACs, so the latest
/// few are kept beside it; they live and die with the secret they came from.
pub struct SecretKey {
    secret: Secret,
    derived: Mutex<Vec<Derived>>,
}

struct Derived {
    date: String,
    region: String,
    mac: HmacSha256,
}

impl SecretKey {
    /// Wraps the secret half of an access key.
    pub fn new(secret: Secret) -> Self {
        Self { secret, derived: Mutex::new(Vec::new()) }
    }

    /// The keyed MAC of a day and region.
    pub(crate) fn signer(&self, date: &str, region: &str) -> HmacSha256 {
        // The list is valid after every statement, so a poisoned lock is harmless.
        let mut derived = self.derived.lock().unwrap_or_else(|p| p.into_inner());
        if let Some(d) = derived.iter().find(|d| d.region == region && d.date == date) {
            return d.mac.clone();
        }
        let mac = keyed(&derive(self.secret.expose(), date, region));
        if derived.len() == DERIVED_KEYS_MAX {
            derived.remove(0);
        }
        derived.push(Derived { date: date.into(), region: region.into(), mac: mac.clone() });
        mac
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn hmac(key: &[u8], message: &str) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().into()
}

fn derive(secret: &str, date: &str, region: &str) -> [u8; 32] {
    let day = hmac(format!("AWS4{secret}").as_bytes(), date);
    let regional = hmac(&day, region);
    let service = hmac(&regional, SERVICE);
    hmac(&service, TERMINATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_keys_are_bounded_and_right() {
        let key = SecretKey::new(Secret::new("s3cr3t".into()));
        for n in 0..3 * DERIVED_KEYS_MAX {
            key.signer("20260101", &format!("region-{n}"));
        }
        assert_eq!(key.derived.lock().unwrap().len(), DERIVED_KEYS_MAX);
        let fresh = keyed(&derive("s3cr3t", "20260101", "region-1"));
        let sign = |mut mac: HmacSha256| {
            mac.update(b"x");
            mac.finalize().into_bytes()
        };
        assert_eq!(sign(key.signer("20260101", "region-1")), sign(fresh));
    }
}
