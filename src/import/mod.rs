//! `coproc import`: what another supervisor's files say, in coproc's words, and what of it has no equal.

mod draft;
mod procfile;
mod s6;
mod supervisord;
mod wrapper;

#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use coproc_core::exit::{FAILURE, USAGE};

use crate::console::{answer, complain, status};

/// No file that is read is longer.
const LONGEST: u64 = 1024 * 1024;

/// `coproc import`.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// What the files are; without it, that is seen from their names and their beginnings.
    #[arg(long, value_enum)]
    pub from: Option<Origin>,

    /// Write to this file in place of standard output; never to one that is there.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Overwrite the file of --output.
    #[arg(long, requires = "output")]
    pub force: bool,

    /// A supervisord.conf, a Procfile, a folder of s6-rc's service definitions, or a file of
    /// nginx-wrapper's.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
}

/// Whose files can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Origin {
    /// supervisord.conf and what it includes.
    Supervisord,
    /// One line for each process: Foreman, Heroku and others.
    Procfile,
    /// A source directory of s6-rc, as in s6-overlay's /etc/s6-overlay/s6-rc.d.
    S6Rc,
    /// nginx-wrapper's own, which coproc reads as they are.
    NginxWrapper,
}

/// `coproc import`.
pub fn import(args: &Import) -> ExitCode {
    let from = match args.from.map_or_else(|| guess(&args.path), Ok) {
        Ok(from) => from,
        Err(why) => return refused(&why),
    };
    let draft = match from {
        Origin::Supervisord => supervisord::read(&args.path),
        Origin::Procfile => read(&args.path).map(|text| procfile::parse(&shown(&args.path), &text)),
        Origin::S6Rc => s6::read(&args.path),
        Origin::NginxWrapper => wrapper::read(&args.path),
    };
    let mut draft = match draft {
        Ok(draft) => draft,
        Err(why) => return refused(&why),
    };
    if draft.runs_nothing() {
        draft.remark(shown(&args.path), "nothing", "there is nothing in it that could be run");
    }
    for remark in &draft.remarks {
        complain(&format!("note: {remark}\n"));
    }
    let text = draft.render();
    let Some(output) = &args.output else { return status(answer(&text)) };
    let mut options = OpenOptions::new();
    options.write(true);
    match args.force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options.open(output).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = match error.kind() {
                std::io::ErrorKind::AlreadyExists => "; --force overwrites it",
                _ => "",
            };
            let file = output.display();
            complain(&format!("error: {file} cannot be written: {error}{hint}\n"));
            ExitCode::from(FAILURE)
        }
    }
}

fn refused(why: &str) -> ExitCode {
    complain(&format!("error: {why}\n"));
    ExitCode::from(USAGE)
}

/// A path as messages name it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The text of a file. The error is a sentence.
fn read(path: &Path) -> Result<String, String> {
    let file = shown(path);
    let found = fs::metadata(path).map_err(|error| format!("{file} cannot be read: {error}"))?;
    if found.len() > LONGEST {
        return Err(format!("{file} is longer than {} KiB", LONGEST / 1024));
    }
    let bytes = fs::read(path).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8"))?;
    // Editors of other systems put a mark in front.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// What kind of file this is. The error is a sentence.
fn guess(path: &Path) -> Result<Origin, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if path.is_dir() {
        return Ok(Origin::S6Rc);
    }
    if name.starts_with("procfile") || name.ends_with(".procfile") {
        return Ok(Origin::Procfile);
    }
    let ends = |ending: &str| name.ends_with(ending);
    if [".toml", ".json", ".yaml", ".yml"].into_iter().any(ends) {
        return Ok(Origin::NginxWrapper);
    }
    if ends(".conf") || ends(".ini") || read(path)?.contains("[program:") {
        return Ok(Origin::Supervisord);
    }
    Err(format!("{}: say --from, since its name does not tell what it is", shown(path)))
}
