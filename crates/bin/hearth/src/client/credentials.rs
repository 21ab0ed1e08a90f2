//! Whose key signs: the environment, else the profile, else the key that
//! `hearth up` made for its own machine.

use aws_credential_types::Credentials;
use hearth_aws_profile::{Env, Profile};

/// Finds credentials in the standard order:
///
/// 1. `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (unless a profile was
///    named on the command line, which is the more specific wish);
/// 2. the profile's static keys;
/// 3. the credentials file in the default data directory, so that on the
///    server's own machine nothing needs to be set. Not if a profile or a file
///    was named: then these and no others are meant.
pub(super) fn resolve(
    profile_was_named: bool,
    env: Env<'_>,
    profile: &Profile,
) -> anyhow::Result<Credentials> {
    if !profile_was_named
        && let (Some(id), Some(secret)) = (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"))
    {
        return Ok(Credentials::new(id, secret, env("AWS_SESSION_TOKEN"), None, "environment"));
    }
    if let Some(found) = from_profile(profile) {
        return Ok(found);
    }
    for unsupported in ["credential_process", "role_arn", "sso_session", "sso_start_url"] {
        if profile.get(unsupported).is_some() {
            anyhow::bail!(
                "profile {:?} uses {unsupported}, which this client does not know: \
                 use static keys",
                profile.name
            );
        }
    }
    let local = crate::cli::default_data_dir().join("credentials");
    let nothing_named = !profile_was_named && env("AWS_SHARED_CREDENTIALS_FILE").is_none();
    if nothing_named
        && let Some(found) =
            Profile::from_credentials_file(&local).ok().as_ref().and_then(from_profile)
    {
        return Ok(found);
    }
    anyhow::bail!(
        "no AWS credentials found: `hearth up` wrote some to {}; \
         set AWS_SHARED_CREDENTIALS_FILE to that file",
        local.display()
    )
}

fn from_profile(profile: &Profile) -> Option<Credentials> {
    let id = profile.get("aws_access_key_id")?;
    let secret = profile.get("aws_secret_access_key")?;
    Some(Credentials::new(id, secret, profile.get("aws_session_token"), None, "profile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "AWS_ACCESS_KEY_ID" => Some("FROM-ENV".into()),
            "AWS_SECRET_ACCESS_KEY" => Some("s".into()),
            _ => None,
        }
    }

    #[test]
    fn the_environment_comes_first_unless_a_profile_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c");
        std::fs::write(&file, "[default]\naws_access_key_id=FROM-FILE\naws_secret_access_key=s\n")
            .unwrap();
        let profile = Profile::from_credentials_file(&file).unwrap();
        assert_eq!(resolve(false, &env, &profile).unwrap().access_key_id(), "FROM-ENV");
        assert_eq!(resolve(true, &env, &profile).unwrap().access_key_id(), "FROM-FILE");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c");
        std::fs::write(&file, "[default]\nsso_session = x\n").unwrap();
        let profile = Profile::from_credentials_file(&file).unwrap();
        let error = resolve(false, &|_| None, &profile).unwrap_err().to_string();
        assert!(error.contains("sso_session"), "{error}");
    }
}
