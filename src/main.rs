//! The order of the day: the exec stage if this process is one, else the command line.

use std::ffi::OsString;
use std::process::ExitCode;

use coproc_core::process::stage;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if stage::is_stage(&arguments) {
        return ExitCode::from(stage::run(&arguments));
    }
    coproc::main(arguments)
}
