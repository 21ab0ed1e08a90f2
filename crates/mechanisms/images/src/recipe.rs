//! The recipes under `images/`, compiled in: a binary needs no checkout to
//! build what it runs.

use crate::digest::Digester;

/// A recipe's text, by what it is.
pub(crate) struct Recipe {
    /// Package names, one a line; a leading minus leaves a dependency out.
    packages: &'static str,
    /// Paths that are removed after unpacking.
    remove: &'static str,
    /// Other files that go into the image or steer its making.
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../../../../images/", $name))
    };
}

/// What the agent finds as its mount points and the C library as its accounts.
pub(crate) const OS: Recipe = Recipe {
    packages: text!("os/packages"),
    remove: text!("os/remove"),
    files: &[
        ("etc/passwd", text!("os/passwd").as_bytes()),
        ("etc/group", text!("os/group").as_bytes()),
        ("etc/nsswitch.conf", text!("os/nsswitch.conf").as_bytes()),
    ],
};

/// Python from Debian, AWS's client and SDK from PyPI.
pub(crate) const PYTHON313: Recipe = Recipe {
    packages: text!("python3.13/packages"),
    remove: text!("python3.13/remove"),
    files: &[
        ("var/runtime/bootstrap", text!("python3.13/bootstrap").as_bytes()),
        ("var/runtime/_hearth/__init__.py", text!("python3.13/_hearth/__init__.py").as_bytes()),
        ("var/runtime/_hearth/client.py", text!("python3.13/_hearth/client.py").as_bytes()),
        (
            "var/runtime/_hearth/environment.py",
            text!("python3.13/_hearth/environment.py").as_bytes(),
        ),
        ("var/runtime/_hearth/prepare.py", text!("python3.13/_hearth/prepare.py").as_bytes()),
        ("var/runtime/_hearth/line.py", text!("python3.13/_hearth/line.py").as_bytes()),
        ("var/runtime/_hearth/preload.py", text!("python3.13/_hearth/preload.py").as_bytes()),
        ("var/runtime/_hearth/rehearse.py", text!("python3.13/_hearth/rehearse.py").as_bytes()),
        ("var/runtime/_hearth/snapstart.py", text!("python3.13/_hearth/snapstart.py").as_bytes()),
        ("var/runtime/_hearth/unique.py", text!("python3.13/_hearth/unique.py").as_bytes()),
        ("bundle.py", text!("python3.13/bundle.py").as_bytes()),
        ("requirements.txt", text!("python3.13/requirements.txt").as_bytes()),
    ],
};

/// Node.js and AWS's client from npm.
pub(crate) const NODEJS22: Recipe = Recipe {
    packages: "",
    remove: "",
    files: &[
        ("var/runtime/bootstrap", text!("nodejs22.x/bootstrap").as_bytes()),
        ("var/runtime/_hearth/api.js", text!("nodejs22.x/_hearth/api.js").as_bytes()),
        (
            "var/runtime/_hearth/environment.js",
            text!("nodejs22.x/_hearth/environment.js").as_bytes(),
        ),
        ("var/runtime/_hearth/heap.js", text!("nodejs22.x/_hearth/heap.js").as_bytes()),
        ("var/runtime/_hearth/prepare.js", text!("nodejs22.x/_hearth/prepare.js").as_bytes()),
        ("var/runtime/_hearth/random.js", text!("nodejs22.x/_hearth/random.js").as_bytes()),
        ("var/runtime/_hearth/rehearse.js", text!("nodejs22.x/_hearth/rehearse.js").as_bytes()),
        ("var/runtime/_hearth/snapstart.js", text!("nodejs22.x/_hearth/snapstart.js").as_bytes()),
        ("var/runtime/_hearth/unique.js", text!("nodejs22.x/_hearth/unique.js").as_bytes()),
        ("native.cc", text!("nodejs22.x/_hearth/native.cc").as_bytes()),
        ("build-client.sh", text!("nodejs22.x/build-client.sh").as_bytes()),
        ("requirements.txt", text!("nodejs22.x/requirements.txt").as_bytes()),
        ("tarballs", text!("nodejs22.x/tarballs").as_bytes()),
        ("toolchain", text!("nodejs22.x/toolchain").as_bytes()),
    ],
};

/// Java and Jackson from Debian, and the runtime of our own.
pub(crate) const JAVA21: Recipe = Recipe {
    packages: text!("java21/packages"),
    remove: "",
    files: &[
        ("bootstrap", text!("java21/bootstrap").as_bytes()),
        ("build.sh", text!("java21/build.sh").as_bytes()),
        ("flags", text!("java21/flags").as_bytes()),
        ("manifest", text!("java21/manifest").as_bytes()),
        ("modules", text!("java21/modules").as_bytes()),
        ("options", text!("java21/options").as_bytes()),
        (
            "src/com/amazonaws/services/lambda/runtime/Client.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/Client.java").as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/ClientContext.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/ClientContext.java").as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/CognitoIdentity.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/CognitoIdentity.java")
                .as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/Context.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/Context.java").as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/LambdaLogger.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/LambdaLogger.java").as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/LambdaRuntime.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/LambdaRuntime.java").as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/RequestHandler.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/RequestHandler.java")
                .as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/RequestStreamHandler.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/RequestStreamHandler.java")
                .as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/logging/LogFormat.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/logging/LogFormat.java")
                .as_bytes(),
        ),
        (
            "src/com/amazonaws/services/lambda/runtime/logging/LogLevel.java",
            text!("java21/src/com/amazonaws/services/lambda/runtime/logging/LogLevel.java")
                .as_bytes(),
        ),
        ("src/hearth/Environment.java", text!("java21/src/hearth/Environment.java").as_bytes()),
        ("src/hearth/ErrorReport.java", text!("java21/src/hearth/ErrorReport.java").as_bytes()),
        ("src/hearth/Events.java", text!("java21/src/hearth/Events.java").as_bytes()),
        ("src/hearth/Fault.java", text!("java21/src/hearth/Fault.java").as_bytes()),
        (
            "src/hearth/FunctionLoader.java",
            text!("java21/src/hearth/FunctionLoader.java").as_bytes(),
        ),
        ("src/hearth/Handler.java", text!("java21/src/hearth/Handler.java").as_bytes()),
        ("src/hearth/HandlerLoader.java", text!("java21/src/hearth/HandlerLoader.java").as_bytes()),
        ("src/hearth/Hooks.java", text!("java21/src/hearth/Hooks.java").as_bytes()),
        ("src/hearth/Http.java", text!("java21/src/hearth/Http.java").as_bytes()),
        ("src/hearth/Internals.java", text!("java21/src/hearth/Internals.java").as_bytes()),
        (
            "src/hearth/InvocationContext.java",
            text!("java21/src/hearth/InvocationContext.java").as_bytes(),
        ),
        ("src/hearth/JoinedTexts.java", text!("java21/src/hearth/JoinedTexts.java").as_bytes()),
        ("src/hearth/Json.java", text!("java21/src/hearth/Json.java").as_bytes()),
        ("src/hearth/KernelRandom.java", text!("java21/src/hearth/KernelRandom.java").as_bytes()),
        ("src/hearth/Line.java", text!("java21/src/hearth/Line.java").as_bytes()),
        ("src/hearth/Log.java", text!("java21/src/hearth/Log.java").as_bytes()),
        ("src/hearth/Main.java", text!("java21/src/hearth/Main.java").as_bytes()),
        (
            "src/hearth/NativeEnvironment.java",
            text!("java21/src/hearth/NativeEnvironment.java").as_bytes(),
        ),
        ("src/hearth/Prepare.java", text!("java21/src/hearth/Prepare.java").as_bytes()),
        ("src/hearth/RuntimeApi.java", text!("java21/src/hearth/RuntimeApi.java").as_bytes()),
        ("src/hearth/SnapStart.java", text!("java21/src/hearth/SnapStart.java").as_bytes()),
        ("src/hearth/Uniqueness.java", text!("java21/src/hearth/Uniqueness.java").as_bytes()),
        ("src/hearth/WarmUp.java", text!("java21/src/hearth/WarmUp.java").as_bytes()),
        (
            "src/jdk/crac/CheckpointException.java",
            text!("java21/src/jdk/crac/CheckpointException.java").as_bytes(),
        ),
        ("src/jdk/crac/Context.java", text!("java21/src/jdk/crac/Context.java").as_bytes()),
        ("src/jdk/crac/Core.java", text!("java21/src/jdk/crac/Core.java").as_bytes()),
        ("src/jdk/crac/Resource.java", text!("java21/src/jdk/crac/Resource.java").as_bytes()),
        (
            "src/jdk/crac/RestoreException.java",
            text!("java21/src/jdk/crac/RestoreException.java").as_bytes(),
        ),
        (
            "src/org/crac/CheckpointException.java",
            text!("java21/src/org/crac/CheckpointException.java").as_bytes(),
        ),
        ("src/org/crac/Context.java", text!("java21/src/org/crac/Context.java").as_bytes()),
        ("src/org/crac/Core.java", text!("java21/src/org/crac/Core.java").as_bytes()),
        ("src/org/crac/Resource.java", text!("java21/src/org/crac/Resource.java").as_bytes()),
        (
            "src/org/crac/RestoreException.java",
            text!("java21/src/org/crac/RestoreException.java").as_bytes(),
        ),
        ("toolchain", text!("java21/toolchain").as_bytes()),
    ],
};

impl Recipe {
    /// Packages that are asked for.
    pub(crate) fn wanted(&self) -> Vec<&'static str> {
        lines(self.packages).filter(|l| !l.starts_with('-')).collect()
    }

    /// Whether dependency `name` is left out.
    pub(crate) fn leaves_out(&self, name: &str) -> bool {
        lines(self.packages).any(|l| l.strip_prefix('-') == Some(name))
    }

    /// Paths that are removed after unpacking.
    pub(crate) fn removals(&self) -> impl Iterator<Item = &'static str> {
        lines(self.remove)
    }

    /// The other files.
    pub(crate) fn files(&self) -> &'static [(&'static str, &'static [u8])] {
        self.files
    }

    /// Those of them whose names begin with `directory`.
    pub(crate) fn under(
        &self,
        directory: &'static str,
    ) -> impl Iterator<Item = &'static (&'static str, &'static [u8])> {
        self.files.iter().filter(move |(name, _)| name.starts_with(directory))
    }

    /// One of them; naming one that the recipe lacks is a mistake in this crate.
    pub(crate) fn contents(&self, name: &str) -> &'static [u8] {
        let found = self.files.iter().find(|(n, _)| *n == name);
        found.map(|(_, contents)| *contents).unwrap_or_else(|| panic!("no {name} in the recipe"))
    }

    /// The same, as text.
    pub(crate) fn text(&self, name: &str) -> &'static str {
        std::str::from_utf8(self.contents(name)).unwrap_or_else(|_| panic!("{name} is not text"))
    }

    /// Adds all of it to a key.
    pub(crate) fn digest_into(&self, key: &mut Digester) {
        key.field(self.packages.as_bytes()).field(self.remove.as_bytes());
        for (name, contents) in self.files {
            key.field(name.as_bytes()).field(contents);
        }
    }
}

/// The lines of a recipe's list, without comments.
pub(crate) fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_read_as_written() {
        assert!(OS.wanted().contains(&"libc6"));
        assert!(!OS.wanted().iter().any(|n| n.starts_with('-')));
        assert!(OS.leaves_out("debconf") && !OS.leaves_out("libc6"));
        for recipe in [OS, PYTHON313, NODEJS22, JAVA21] {
            // A removal of the root or of something above it would be fatal.
            assert!(recipe.removals().all(|r| !r.starts_with('/') && !r.contains("..")));
        }
        assert_eq!(lines(NODEJS22.text("tarballs")).count(), 3);
    }

    #[test]
    fn every_source_of_javas_runtime_is_in_its_recipe() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../images/java21");
        let mut unseen = vec![std::path::PathBuf::from(directory)];
        while let Some(path) = unseen.pop() {
            if path.is_dir() {
                unseen.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
                continue;
            }
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
            let listed = JAVA21.files().iter().any(|(n, _)| *n == name);
            assert!(listed || name == "packages", "{name}");
        }
    }
}
