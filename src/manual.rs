//! `coproc man` and `coproc completions`: the manual pages and the completion scripts, made of the
//! definition of the command line.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use coproc_core::exit::{FAILURE, USAGE};

use crate::cli::{self, Cli};
use crate::console::{answer, complain, status};
use crate::reference::{Reference, marked, page};
use crate::{config, notes};

/// The page about config files.
const CONFIG_PAGE: &str = "coproc.toml";

/// A manual page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name, such as `coproc-run`.
    pub name: String,
    /// Its section.
    pub section: u8,
    /// Its text for man(1).
    pub text: String,
}

/// All pages, coproc(1) first.
///
/// # Errors
/// None: the pages are written to memory.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let names = root.get_subcommands().map(|command| command.get_name().to_owned());
    let names = names.collect::<Vec<_>>();
    let mut pages = vec![command_page(&root, notes::ROOT, &names)?];
    for command in root.get_subcommands() {
        pages.push(command_page(command, command.get_name(), &names)?);
    }
    let body = page(&Reference::new(&config::schema())).render();
    pages.push(Page::new(CONFIG_PAGE, 5, &body));
    Ok(pages)
}

fn command_page(command: &clap::Command, name: &str, all: &[String]) -> io::Result<Page> {
    let is_root = name == notes::ROOT;
    let title = if is_root { name.to_owned() } else { format!("coproc-{name}") };
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render_name_section(&mut text)?;
    text.extend(synopsis(command).into_bytes());
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if is_root {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    for (heading, entries) in notes::of(name).parts() {
        roff.control("SH", [heading.to_uppercase().as_str()]);
        for (what, meaning) in entries {
            roff.control("TP", []);
            roff.text([bold(*what)]);
            roff.text(marked(meaning));
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.control("nh", []);
    let others: Vec<_> = match is_root {
        true => all.iter().map(|name| (format!("coproc-{name}"), "1")).collect(),
        false => vec![(notes::ROOT.to_owned(), "1")],
    };
    for (other, section) in others {
        roff.text([bold(other), roman(format!("({section}),"))]);
    }
    roff.text([bold(CONFIG_PAGE), roman("(5)")]);
    text.extend(roff.to_roff().into_bytes());
    Ok(Page::new(&title, 1, &String::from_utf8_lossy(&text)))
}

/// The usage, as the help has it.
fn synopsis(command: &clap::Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(usage.trim_start_matches("Usage:").trim())]);
    roff.to_roff()
}

impl Page {
    /// The page whose sections are `body`, each part of which may begin with a preamble.
    fn new(name: &str, section: u8, body: &str) -> Self {
        let (preamble, _) = body.split_at(body.find(".SH").unwrap_or(0));
        let sections = match preamble.is_empty() {
            true => body.to_owned(),
            false => body.replace(preamble, ""),
        };
        // Without a date, which would have to be that of the page's last change.
        let title = name.to_uppercase();
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "{preamble}.TH \"{title}\" \"{section}\" \"\" \"coproc {version}\" \"coproc manual\"\n\
             {sections}"
        );
        Self { name: name.to_owned(), section, text }
    }
}

/// `coproc man`.
pub fn man(args: &cli::Man) -> ExitCode {
    let pages = match pages() {
        Ok(pages) => pages,
        Err(error) => return failed(&format!("the pages cannot be made: {error}")),
    };
    if let Some(folder) = &args.dir {
        return match install(&pages, folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => failed(&why),
        };
    }
    let wanted = args.page.as_deref().unwrap_or(notes::ROOT);
    let is_wanted = |page: &&Page| page.name == wanted || page.name == format!("coproc-{wanted}");
    match pages.iter().find(is_wanted) {
        Some(page) => status(answer(&page.text)),
        None => {
            let names = pages.iter().map(|page| page.name.trim_start_matches("coproc-"));
            let names = names.collect::<Vec<_>>().join(", ");
            complain(&format!("error: there is no page `{wanted}`; there are {names}\n"));
            ExitCode::from(USAGE)
        }
    }
}

fn install(pages: &[Page], folder: &Path) -> Result<(), String> {
    for Page { name, section, text } in pages {
        let folder = folder.join(format!("man{section}"));
        let path = folder.join(format!("{name}.{section}"));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

fn failed(why: &str) -> ExitCode {
    complain(&format!("error: {why}\n"));
    ExitCode::from(FAILURE)
}

/// What lets bash complete the ways around its reserved word: it looks up the first word as typed.
const BASH: &str = r#"
_coproc_command() {
    # What `command` runs begins at the second word.
    if [[ ${COMP_WORDS[1]-} == coproc && $COMP_CWORD -ge 2 ]]; then
        COMP_WORDS=("${COMP_WORDS[@]:1}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _coproc coproc "$2" "$3"
    elif declare -F _comp_command_offset > /dev/null; then
        _comp_command_offset 1
    elif declare -F _command_offset > /dev/null; then
        _command_offset 1
    fi
}
complete -F _coproc -o bashdefault -o default '\coproc'
complete -F _coproc_command -o bashdefault -o default command
"#;

/// The completion script of a shell.
pub fn completion_script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), notes::ROOT, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        script.push_str(BASH);
    }
    script
}

/// `coproc completions`.
pub fn completions(args: &cli::Completions) -> ExitCode {
    status(answer(&completion_script(args.shell)))
}
