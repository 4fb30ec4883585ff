//! The commands that need no running wrapper: check, debug, schema and version.

use std::path::PathBuf;
use std::process::ExitCode;

use coproc_core::exit;
use coproc_core::name::MAIN;
use coproc_gateway::definition::{self, Rules};
use coproc_gateway::driver::native::NativeConfig;
use coproc_gateway::page::Templates;
use coproc_gateway::policy::Policies;

use crate::cli::{DebugFormat, SchemaArgs, StatusFormat};
use crate::config::{self, Config, Format, Loaded, Sources};
use crate::console::{answer, complain, status};

/// A config that `coproc check` finds nothing wrong with.
#[derive(Debug)]
pub struct Valid {
    /// The config.
    pub loaded: Loaded,
    /// What is odd, for standard error: whole lines.
    pub odd: String,
    /// What there is, in a sentence.
    pub summary: String,
}

/// `coproc check`.
pub fn check(sources: &Sources) -> ExitCode {
    match examine(sources) {
        Ok(Valid { odd, summary, .. }) => {
            complain(&odd);
            status(answer(&summary))
        }
        Err(report) => {
            complain(&report);
            ExitCode::from(exit::USAGE)
        }
    }
}

/// Reads and checks the config with all that belongs to it. The error is the whole report, for standard
/// error.
pub fn examine(sources: &Sources) -> Result<Valid, String> {
    let loaded = config::load(sources)
        .map_err(|errors| warnings(errors.warnings()) + &errors.to_string())?;
    let mut odd = warnings(&loaded.config.warnings);
    let apis = match definitions(&loaded, &mut odd) {
        Ok(apis) => apis,
        Err(report) => return Err(odd + &report),
    };
    let number = match loaded.config.coprocesses.len() {
        0 => "no coprocesses".to_owned(),
        1 => "1 coprocess".to_owned(),
        n => format!("{n} coprocesses"),
    };
    let apis = match apis {
        None => String::new(),
        Some(1) => ", 1 API".to_owned(),
        Some(n) => format!(", {n} APIs"),
    };
    let summary = format!("the configuration is valid: {number}{apis}\n");
    Ok(Valid { loaded, odd, summary })
}

/// How many APIs the gateway has, with those of its folder; what is wrong there, or in other files that the
/// gateway reads when it starts, is the error.
fn definitions(loaded: &Loaded, odd: &mut String) -> Result<Option<usize>, String> {
    let Some(gateway) = loaded.gateway()? else { return Ok(None) };
    let rules = Rules { checking: true, ..gateway.rules() };
    let load = |folder: &PathBuf| definition::load(folder, &rules, &gateway.own_apis());
    let found = gateway.app_path.as_ref().map(load).unwrap_or_default();
    for warning in &found.warnings {
        odd.push_str(&format!("warning: {warning}\n"));
    }
    let mut problems: Vec<_> = found.problems.iter().map(|problem| problem.to_string()).collect();
    if let Some(Err(why)) = gateway.policies.as_deref().map(Policies::read) {
        problems.push(format!("gateway.policies: {why}"));
    }
    if let Err(why) = gateway.bundles.key() {
        problems.push(format!("gateway.{why}"));
    }
    let tls = coproc_gateway::tls::problems(gateway.tls.as_ref(), gateway.upstream_ca.as_deref());
    problems.extend(tls.into_iter().map(|why| format!("gateway.{why}")));
    if let Some(why) = gateway.native.as_ref().and_then(NativeConfig::problem) {
        problems.push(format!("gateway.native.library: {why}"));
    }
    if let Some(Err(all)) = gateway.template_path.as_deref().map(Templates::read) {
        problems.extend(all.into_iter().map(|why| format!("gateway.template_path: {why}")));
    }
    if problems.is_empty() {
        let bundled = gateway.bundled.len() + found.bundled.len();
        return Ok(Some(gateway.apis.len() + found.apis.len() + bundled));
    }
    let number = match problems.len() {
        1 => String::new(),
        n => format!(" ({n} problems)"),
    };
    let what = match problems.len() == found.problems.len() {
        true => "definitions of APIs",
        false => "files of the gateway",
    };
    let mut report = format!("error: invalid {what}{number}\n\n");
    for problem in problems {
        report.push_str(&format!("  {problem}\n"));
    }
    Err(report)
}

/// `coproc debug`.
pub fn debug(sources: &Sources, format: Option<DebugFormat>) -> ExitCode {
    let format = match format {
        None => Format::Text,
        Some(DebugFormat::Toml) => Format::Toml,
        Some(DebugFormat::Json) => Format::Json,
    };
    explain(sources, |loaded, config| Ok(config::debug(loaded, config, format)))
}

/// Whether `name` means a key of the config to `coproc why`, and no process: it has a dot, or is a key of the
/// top level by which no coprocess is called.
pub fn is_key(sources: &Sources, name: &str) -> bool {
    let is_process = || {
        let loaded = config::load_leniently(sources);
        loaded.is_ok_and(|loaded| loaded.config.coprocesses.iter().any(|one| one.is_called(name)))
    };
    name.contains('.') || (name != MAIN && config::is_top_level(name) && !is_process())
}

/// `coproc why KEY`.
pub fn why(sources: &Sources, key: &str, format: StatusFormat) -> ExitCode {
    let format = match format {
        StatusFormat::Text => Format::Text,
        StatusFormat::Json => Format::Json,
    };
    explain(sources, |loaded, config| {
        let told = config::origin_of(loaded, config, key, format);
        told.ok_or_else(|| {
            format!("the config says nothing at `{key}`, and it has no such default")
        })
    })
}

/// Prints what `tell` makes of the config; its error is a sentence.
fn explain(
    sources: &Sources,
    tell: impl Fn(&Loaded, &Config) -> Result<String, String>,
) -> ExitCode {
    let loaded = match config::load_leniently(sources) {
        Ok(loaded) => loaded,
        Err(errors) => {
            warn(errors.warnings());
            complain(&errors.to_string());
            return ExitCode::from(exit::USAGE);
        }
    };
    let config = match loaded.with_facts(std::process::id()) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            // Only `run` would have executed it; here it is a setting that is wrong.
            let wrong = error.code == exit::NOT_EXECUTABLE;
            return ExitCode::from(if wrong { exit::USAGE } else { error.code });
        }
    };
    warn(&config.warnings);
    match tell(&loaded, &config) {
        Ok(told) => status(answer(&told)),
        Err(why) => {
            complain(&format!("error: {why}\n"));
            ExitCode::from(exit::FAILURE)
        }
    }
}

/// `coproc schema`.
pub fn schema(args: SchemaArgs) -> ExitCode {
    let schema = match args.openapi {
        true => coproc_control::openapi::document(VERSION),
        false => config::schema(),
    };
    status(answer(&format!("{schema:#}\n")))
}

/// `coproc version`.
pub fn version() -> ExitCode {
    status(answer(&format!("coproc {}\n", version_line())))
}

/// The release; what was not stamped is `unknown`.
pub const VERSION: &str = stamped(option_env!("CARGO_PKG_VERSION"));

/// The commit that this was built from.
pub const COMMIT: &str = stamped(option_env!("BUILT_FROM"));

const fn stamped(text: Option<&'static str>) -> &'static str {
    match text {
        Some(text) => text,
        None => "unknown",
    }
}

/// Version, commit and time of the build.
pub fn version_line() -> String {
    let time = stamped(option_env!("BUILT_AT"));
    format!("{VERSION} ({COMMIT}) {time}")
}

fn warn(all: &[String]) {
    complain(&warnings(all));
}

fn warnings(all: &[String]) -> String {
    all.iter().map(|warning| format!("warning: {warning}\n")).collect()
}
