//! Says where cargo has put the source of async-memcached.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    let metadata = Command::new(env::var_os("CARGO").unwrap())
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(env::var_os("TARGET").unwrap())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "async-memcached").unwrap();
    let source = Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src");
    let modules = ["error.rs", "parser/mod.rs"].map(|file| source.join(file));
    let text = format!(
        "#[path = {:?}] mod error;\n#[path = {:?}] pub mod parser;\n",
        modules[0], modules[1]
    );
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap()).join("modules.rs"), text).unwrap();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
}
