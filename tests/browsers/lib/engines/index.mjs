// The three engines under one interface.
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { PuppeteerBrowser } from "./puppeteer.mjs";
import { WebkitBrowser } from "./webkit.mjs";

export const ENGINES = ["chromium", "firefox", "webkit"];

/** What to install when an engine is missing, by engine. */
const PACKAGES = {
  chromium: "chromium",
  firefox: "firefox-esr",
  webkit: "webkit2gtk-driver and xvfb",
};

export class MissingBrowser extends Error {
  constructor(engine) {
    super(`${engine} is not installed: install the package ${PACKAGES[engine]}.`);
  }
}

function findExecutable(engine, ...names) {
  for (const name of names) {
    for (const folder of process.env.PATH.split(delimiter)) {
      if (existsSync(join(folder, name))) return join(folder, name);
    }
  }
  throw new MissingBrowser(engine);
}

/** Flags by which Chromium's drivers switch off what browsers do to hidden pages. */
const UNTHROTTLING = [
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

/** One timer a minute for pages that are hidden for longer than a second, not than five minutes. */
const INTENSIVE = "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1"
  + "/grace_period_seconds_loaded/1";

function chromiumOptions({ throttling }) {
  return {
    launch: {
      executablePath: findExecutable("chromium", "chromium", "chromium-browser"),
      ignoreDefaultArgs: throttling ? UNTHROTTLING : [],
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-component-update",
        // Else the number of renderers follows the memory of the machine, and tabs share them.
        "--renderer-process-limit=100",
        // The address bar's popups are pages that keep a renderer busy after each new window,
        // which hides the tab we look for.
        "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup",
        ...(throttling === "intensive" ? [INTENSIVE] : []),
      ],
    },
  };
}

function firefoxOptions({ color_scheme, storage_kib_max, storage_kept }) {
  const quota = { "dom.quotaManager.temporaryStorage.fixedLimit": storage_kib_max };
  const keeping = {
    "dom.storageManager.prompt.testing": true,
    "dom.storageManager.prompt.testing.allow": storage_kept,
  };
  return {
    environment: {
      // Else the browser takes a tab's death for its own end.
      MOZ_CRASHREPORTER_SHUTDOWN: "",
      MOZ_CRASHREPORTER_DISABLE: "1",
    },
    launch: {
      executablePath: findExecutable("firefox", "firefox-esr", "firefox"),
      extraPrefsFirefox: {
        // Else tabs of one origin share a few processes.
        "dom.ipc.processCount": 100,
        "dom.ipc.processCount.webIsolated": 100,
        "layout.css.prefers-color-scheme.content-override": color_scheme === "dark" ? 0 : 1,
        ...(storage_kib_max === undefined ? {} : quota),
        ...(storage_kept === undefined ? {} : keeping),
      },
    },
  };
}

/** MiniBrowser is installed beside the library: /usr/lib/<architecture>/webkit2gtk-<version>. */
function findMiniBrowser() {
  for (const architecture of readdirSync("/usr/lib")) {
    for (const version of ["webkitgtk-6.0", "webkit2gtk-4.1", "webkit2gtk-4.0"]) {
      const path = join("/usr/lib", architecture, version, "MiniBrowser");
      if (existsSync(path)) return path;
    }
  }
  throw new MissingBrowser("webkit");
}

function webkitOptions() {
  return {
    executables: {
      browser: findMiniBrowser(),
      driver: findExecutable("webkit", "WebKitWebDriver"),
      xvfb: findExecutable("webkit", "Xvfb"),
    },
  };
}

const BUILDERS = { chromium: chromiumOptions, firefox: firefoxOptions, webkit: webkitOptions };

/** Fails with `MissingBrowser` unless the engine can be started here. */
export function requireEngine(engine) {
  BUILDERS[engine]({});
}

/**
 * Launches a browser. `throttling`: leave on what the engine does to hidden pages, which its
 * drivers switch off by default; "intensive": as for pages that are hidden for long, in Chromium.
 * `kills`: tabs will be killed or stopped. `color_scheme`: what pages are told the user prefers,
 * "light" or "dark". `storage_kib_max`: what Firefox lets all pages store together; Chromium is
 * told while it runs. `storage_kept`: what Firefox answers to a page that asks for its storage to
 * be kept, instead of asking the user.
 */
export async function launchBrowser(run, engine, options = {}) {
  const all = { color_scheme: "light", ...options };
  const built = { ...all, ...BUILDERS[engine](all) };
  if (engine === "webkit") return WebkitBrowser.launch(run, built);
  return PuppeteerBrowser.launch(run, engine, built);
}
