//! Compiles `proto/tokenway/v1` to Rust with protox, so that no `protoc` is needed on the machine.

use std::error::Error;

const PROTOS: [&str; 3] = [
    "proto/tokenway/v1/event.proto",
    "proto/tokenway/v1/frame.proto",
    "proto/tokenway/v1/session.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
