//! Signatures age by the front end's own clock.

mod support;

use hearth_ambient::clock;
use std::time::Duration;
use support::{ALICE, Stage};

/// AWS's tolerance, and so ours.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);
/// More than the seconds that signatures are dated in can hide.
const SOME: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_signature_is_refused_once_it_is_five_minutes_from_now() {
    let stage = Stage::start().await;
    let signed = clock::unix_now();
    let alice = stage.client(ALICE);
    for (now, accepted) in [
        (signed + SKEW_MAX - SOME, true),
        (signed + SKEW_MAX + SOME, false),
        (signed - SKEW_MAX + SOME, true),
        (signed - SKEW_MAX - SOME, false),
    ] {
        clock::set(now);
        let answer = alice.get("/2015-03-31/functions").await;
        let said = answer.message();
        assert_eq!(answer.status == 200, accepted, "{} {said}", answer.status);
        assert!(accepted || said.contains("Signature"), "{said}");
    }
}
