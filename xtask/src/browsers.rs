//! The browsers of the tests. On Debian, as root, the missing ones are installed; anywhere else the
//! tests of a missing browser fail and say what to install.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use nix::unistd::geteuid;

use crate::cli::Browser;
use crate::{process, tools};

/// Exit code when a child was ended by a signal.
const EXIT_SIGNAL: u8 = 1;

/// A Debian package and the programs it provides, of which one has to be there.
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
}

const CHROMIUM: &[Package] =
    &[Package { name: "chromium", programs: &["chromium", "chromium-browser"] }];

const FIREFOX: &[Package] =
    &[Package { name: "firefox-esr", programs: &["firefox-esr", "firefox"] }];

/// WebKit has no mode without a screen, so it gets a virtual one.
const WEBKIT: &[Package] = &[
    Package { name: "webkit2gtk-driver", programs: &["WebKitWebDriver"] },
    Package { name: "xvfb", programs: &["Xvfb"] },
];

/// Installs what is missing, if we may. Nothing is asked of the network if nothing is missing.
pub fn install(browsers: &[Browser]) -> Result<()> {
    let missing: Vec<&str> = browsers.iter().flat_map(|browser| missing_of(*browser)).collect();
    if missing.is_empty() || !geteuid().is_root() || which::which("apt-get").is_err() {
        return Ok(());
    }
    eprintln!("installing the Debian packages {}", missing.join(" "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run(apt().args(["update", "-qq"]))?;
    process::run(apt().args(["install", "-qq", "-y", "--no-install-recommends"]).args(&missing))
}

/// One sentence that says what is missing and how to get it; nothing if the browser can be started.
pub fn describe_missing(browser: Browser) -> Option<String> {
    let missing: Vec<&str> = missing_of(browser).collect();
    (!missing.is_empty()).then(|| {
        let packages = missing.join(" and ");
        format!("{} is missing: install {packages} (on Debian with apt-get).", browser.name())
    })
}

/// Runs a script of the browser harness and passes its exit code on.
pub fn run_script(script: &str, browser: Browser, arguments: &[&str]) -> Result<ExitCode> {
    install(&[browser])?;
    if let Some(sentence) = describe_missing(browser) {
        return Err(tools::missing(sentence));
    }
    let status = Command::new("node")
        .args([script, "--browser", browser.name()])
        .args(arguments)
        .status()
        .context("cannot start node")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(EXIT_SIGNAL);
    Ok(ExitCode::from(code))
}

fn missing_of(browser: Browser) -> impl Iterator<Item = &'static str> {
    let packages = match browser {
        Browser::Chromium => CHROMIUM,
        Browser::Firefox => FIREFOX,
        Browser::Webkit => WEBKIT,
    };
    let absent =
        |package: &&Package| package.programs.iter().all(|name| which::which(name).is_err());
    packages.iter().filter(absent).map(|package| package.name)
}
