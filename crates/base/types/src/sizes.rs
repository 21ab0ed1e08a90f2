//! Sizes and durations that users set, each with its legal range.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The number lies outside the legal range.
#[derive(Debug, thiserror::Error)]
#[error("{value} is outside {min} to {max}")]
pub struct OutOfRange {
    /// What was asked for.
    pub value: i64,
    /// Smallest legal value.
    pub min: u32,
    /// Largest legal value.
    pub max: u32,
}

macro_rules! ranged_newtype {
    ($(#[$doc:meta])* $name:ident, $min:literal ..= $max:literal, default $default:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name(u32);

        impl $name {
            /// Smallest legal value.
            pub const MIN: u32 = $min;
            /// Largest legal value.
            pub const MAX: u32 = $max;

            /// The number.
            pub fn get(self) -> u32 {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl TryFrom<i64> for $name {
            type Error = OutOfRange;
            fn try_from(value: i64) -> Result<Self, OutOfRange> {
                if (i64::from(Self::MIN)..=i64::from(Self::MAX)).contains(&value) {
                    Ok(Self(value as u32))
                } else {
                    Err(OutOfRange { value, min: Self::MIN, max: Self::MAX })
                }
            }
        }

        impl From<$name> for i64 {
            fn from(v: $name) -> i64 {
                i64::from(v.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ranged_newtype! {
    /// A function's memory in MB; its share of CPU follows from it.
    MemoryMb, 128 ..= 10240, default 128
}
ranged_newtype! {
    /// How long one invocation may run, in seconds.
    TimeoutS, 1 ..= 900, default 3
}
ranged_newtype! {
    /// The size of `/tmp`, in MB.
    EphemeralStorageMb, 512 ..= 10240, default 512
}

impl MemoryMb {
    /// CPU time that this memory buys, in thousandths of a vCPU
    /// (1,769 MB is one vCPU).
    pub fn cpu_millis(self) -> u32 {
        (u64::from(self.0) * 1000 / u64::from(crate::MEMORY_MB_PER_VCPU)).max(1) as u32
    }

    /// Virtual CPUs that a guest of this memory sees.
    pub fn vcpus(self) -> u32 {
        self.0.div_ceil(crate::MEMORY_MB_PER_VCPU)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_buys_cpu_in_proportion() {
        let cpu = |mb: i64| MemoryMb::try_from(mb).unwrap().cpu_millis();
        assert_eq!(cpu(1769), 1000);
        assert_eq!(cpu(3538), 2000);
        assert_eq!(cpu(128), 72);
        assert_eq!(MemoryMb::try_from(10240).unwrap().vcpus(), 6);
    }

    #[test]
    fn ranges_are_closed() {
        assert!(MemoryMb::try_from(127).is_err());
        assert!(MemoryMb::try_from(10240).is_ok());
        assert!(MemoryMb::try_from(10241).is_err());
        assert!(TimeoutS::try_from(0).is_err());
    }
}
