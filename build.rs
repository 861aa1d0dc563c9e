//! Turns the proto files into Rust, without `protoc`, and lists the explanations of diagnostic codes.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::prost::Message as _;

/// The files that pull in every other.
const SERVICES: [&str; 2] = ["requite/v1/refund_policy_service.proto", "requite/v1/policy_admin_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(SERVICES)?
        .file_descriptor_set();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    write_descriptors(&descriptors, &out)?;
    fs::write(out.join("explanations.rs"), explanations()?)?;
    for (service, name) in SERVICES.into_iter().zip(["data.bin", "admin.bin"]) {
        fs::write(out.join(name), reached_from(service, &descriptors).encode_to_vec())?;
    }
    let mut config = tonic_prost_build::Config::new();
    // The bounds of a request are found by its name.
    config.enable_type_names();
    tonic_prost_build::configure()
        // Sorted maps: the same message has the same bytes everywhere, and decision ids are made of them.
        .btree_map(".")
        .include_file("protos.rs")
        // Whatever is decoded is counted before.
        .codec_path("crate::api::decode::BoundedCodec")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}

/// The folder with a file for each diagnostic code.
const EXPLANATIONS: &str = "src/policy/explanations";

/// The table of diagnostic codes and the texts of their files, as Rust.
fn explanations() -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={EXPLANATIONS}");
    let mut codes = Vec::new();
    for entry in fs::read_dir(EXPLANATIONS)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let code = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a diagnostic code is not UTF-8")?;
            codes.push(code.to_owned());
        }
    }
    codes.sort_unstable();
    let mut table = String::from("const SOURCES: &[(&str, &str)] = &[\n");
    for code in codes {
        table.push_str(&format!(
            "    (\"{code}\", include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{EXPLANATIONS}/{code}.md\"))),\n"
        ));
    }
    table.push_str("];\n");
    Ok(table)
}

/// What reflection shows of one service: its file and those that it needs, with their comments.
fn reached_from(
    service: &str,
    descriptors: &protox::prost_reflect::prost_types::FileDescriptorSet,
) -> protox::prost_reflect::prost_types::FileDescriptorSet {
    let (mut names, mut next) = (vec![service.to_owned()], 0);
    while let Some(name) = names.get(next).cloned() {
        let file = descriptors.file.iter().find(|file| file.name() == name);
        for needed in file.iter().flat_map(|file| &file.dependency) {
            if !names.contains(needed) {
                names.push(needed.clone());
            }
        }
        next += 1;
    }
    let mut reached = descriptors.clone();
    reached.file.retain(|file| names.iter().any(|name| file.name() == name));
    reached
}

/// The descriptors for JSON and for the bounds of requests, without comments, which would be half of the bytes.
fn write_descriptors(
    descriptors: &protox::prost_reflect::prost_types::FileDescriptorSet,
    out: &Path,
) -> Result<(), Box<dyn Error>> {
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptors.bin"), bare.encode_to_vec())?;
    Ok(())
}
