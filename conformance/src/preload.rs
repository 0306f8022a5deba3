//! A small library that changes what the system tells one server.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{directory::TempDir, process::run};

/// A library that is compiled from `peers/NAME.c`, and a file by which a test tells it what to do.
#[derive(Debug)]
pub(crate) struct Preload {
    library: PathBuf,
    /// The variable that names the file.
    variable: String,
    file: PathBuf,
    _files: TempDir,
}

impl Preload {
    #[track_caller]
    pub(crate) fn compile(name: &str) -> Self {
        let files = TempDir::new(name);
        let library = files.path().join("library.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("peers/{name}.c"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        run(&mut compiler, Duration::from_secs(60)).expect_code(0);
        let file = files.path().join("file");
        Self { library, variable: name.to_uppercase(), file, _files: files }
    }

    /// What to put in front of a server's command.
    pub(crate) fn within(&self) -> [String; 3] {
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.library.display()),
            format!("{}={}", self.variable, self.file.display()),
        ]
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}
