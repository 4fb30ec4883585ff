//! `coproc doctor`: what this machine or container allows the wrapper of a config, and what to change.

mod facts;
mod gather;
mod judge;

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use coproc_core::exit::{FAILURE, USAGE};
use serde_json::{Value, json};

use self::judge::{Finding, Grade};
use crate::cli::{ConfigArgs, StatusFormat};
use crate::config::{self, Sources};
use crate::console::{answer, complain, status};

/// `coproc doctor`.
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// The form.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,

    /// The main program and its arguments.
    #[arg(last = true, value_name = "MAIN")]
    pub main: Vec<String>,
}

/// `coproc doctor`.
pub fn doctor(args: &Doctor, sources: &Sources) -> ExitCode {
    let loaded = match config::load(sources) {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&errors.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let facts = gather::gather(&loaded.config, sources);
    let findings = judge::judge(&facts);
    let told = match args.format {
        StatusFormat::Text => text(&findings),
        StatusFormat::Json => format!("{:#}\n", to_json(&findings)),
    };
    let printed = answer(&told);
    match problems(&findings) {
        0 => status(printed),
        _ => ExitCode::from(FAILURE),
    }
}

fn problems(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.grade == Grade::Problem).count()
}

/// A line for each, and below it what to do.
fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    let about = findings.iter().map(|one| one.about.chars().count()).max().unwrap_or(0);
    for Finding { grade, about: topic, says, advice } in findings {
        let _ = writeln!(out, "{:7}  {topic:about$}  {says}", grade.as_str());
        if let Some(advice) = advice {
            let _ = writeln!(out, "{:7}  {:about$}  -> {advice}", "", "");
        }
    }
    let _ = match problems(findings) {
        0 => writeln!(out, "no problems"),
        1 => writeln!(out, "1 problem"),
        n => writeln!(out, "{n} problems"),
    };
    out
}

fn to_json(findings: &[Finding]) -> Value {
    let all = findings.iter().map(|Finding { grade, about, says, advice }| {
        json!({ "grade": grade.as_str(), "about": about, "says": says, "do": advice })
    });
    json!({ "findings": all.collect::<Vec<_>>(), "problems": problems(findings) })
}
