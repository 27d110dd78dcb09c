//! The browsers of the tests. On Debian, as root, the missing ones are installed; anywhere else the
//! tests of a missing browser fail and say what to install.

use std::process::Command;

use anyhow::Result;
use nix::unistd::geteuid;

use crate::cli::Browser;
use crate::process;

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
