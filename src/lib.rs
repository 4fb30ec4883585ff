//! coproc: a main process and its coprocesses under one supervision tree.

mod budget;
pub mod builtin;
mod change;
pub mod cli;
pub mod clients;
pub mod commands;
pub mod config;
pub mod console;
pub mod coordinator;
pub mod doctor;
pub mod event_loop;
pub mod exec_client;
pub mod exec_server;
pub mod import;
pub mod init;
pub mod keys;
pub mod log;
pub mod manual;
pub mod notes;
mod plans;
mod reasons;
pub mod reference;
pub mod signals;
pub mod simulate;
mod status;
pub mod task;
#[cfg(feature = "top")]
mod top;
pub mod wrapper;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use coproc_core::exit;

use crate::cli::{Cli, Command, ConfigArgs, Why};
use crate::config::Sources;

/// Does what the command line asks for. The first argument is the program's own name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    // Docker reserves status 2 for itself where a health check is concerned.
    let usage = match arguments.get(1).is_some_and(|word| word == "health") {
        true => exit::FAILURE,
        false => exit::USAGE,
    };
    let cli = match Cli::read(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let error = match error.kind() {
                ErrorKind::DisplayHelp => {
                    Cli::described().try_get_matches_from(&arguments).err().unwrap_or(error)
                }
                _ => error,
            };
            // Help and version are answers, all else is a complaint; clap knows which.
            let printed = error.print();
            return match error.use_stderr() {
                true => ExitCode::from(usage),
                false => console::status(printed),
            };
        }
    };
    let Some(command) = &cli.command else {
        return console::status(console::answer(&Cli::described().render_help().to_string()));
    };
    match command {
        Command::Check(args) => commands::check(&sources(&cli, args, &[])),
        Command::Debug(debug) => commands::debug(&sources(&cli, &debug.config, &[]), debug.format),
        Command::Why(Why { name: Some(key), client, format })
            if commands::is_key(&sources(&cli, &client.config, &[]), key) =>
        {
            commands::why(&sources(&cli, &client.config, &[]), key, *format)
        }
        Command::Simulate(args) => {
            simulate::simulate(args, &sources(&cli, &args.config, &args.main))
        }
        Command::Doctor(args) => doctor::doctor(args, &sources(&cli, &args.config, &args.main)),
        Command::Import(args) => import::import(args),
        Command::Schema(args) => commands::schema(*args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
        Command::Version => commands::version(),
        Command::Run(run) => {
            let sources = sources(&cli, &run.config, &run.main);
            wrapper::run(&sources, wrapper::Manner::RUN, run.report.as_deref())
        }
        Command::Exec(args) => exec_client::exec(args, sources(&cli, &args.config, &[])),
        Command::ExecServer(args) => exec_server::exec_server(&args.words),
        #[cfg(feature = "top")]
        Command::Top(args) => top::top(args, |client| sources(&cli, &client.config, &[])),
        Command::Task(task) => task::task(task, sources(&cli, &task.config, &[])),
        Command::Coordinator(args) => coordinator::coordinator(&args.words),
        client_command => {
            clients::client(client_command, |client| sources(&cli, &client.config, &[]))
                .unwrap_or(ExitCode::from(exit::FAILURE))
        }
    }
}

/// Where the config of a command comes from, in this process.
pub fn sources(cli: &Cli, args: &ConfigArgs, main: &[String]) -> Sources {
    Sources {
        files: cli.files(args),
        environment: std::env::vars_os().collect(),
        set: args.set.clone(),
        main: main.to_vec(),
        folder: std::env::current_dir().unwrap_or_default(),
        file_optional: false,
        no_files: false,
    }
}
