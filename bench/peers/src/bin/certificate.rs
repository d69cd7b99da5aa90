//! Writes a certificate and its key, for servers that read theirs from files, to the folder that is the first argument.

use std::fs;
use std::path::PathBuf;

use peers::Result;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("the folder is missing")?);
    let made = peers::certificate()?;
    fs::write(folder.join("certificate.pem"), made.cert.pem())?;
    Ok(fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?)
}
