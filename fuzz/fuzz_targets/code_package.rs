//! Any bytes are a package or are refused; never a panic, never unbounded work.
#![no_main]

use hearth_code_package::Package;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|zip: &[u8]| {
    if let Err(error) = Package::check(zip) {
        assert!(error.is_users());
    }
});
