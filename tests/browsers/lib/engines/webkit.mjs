// WebKitGTK's MiniBrowser on a display of its own. Its pages take orders from the test server,
// because the driver's session ends with the first tab that is killed. The driver, where it is
// used, only handles windows. Without it tabs come from `window.open` in a living page; each
// gets a process of its own, which the tests assert before they kill or stop one.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../../../pkg/test/ports.mjs";
import { Display } from "../display.mjs";
import { OrderChannel } from "../orders.mjs";
import { listProcesses, signal, until } from "../processes.mjs";
import { TestServer } from "../server.mjs";
import { Browser, Tab, within } from "../tab.mjs";
import { WebDriverSession } from "../webdriver.mjs";

const LAUNCH_MS = 120_000;
const POPUPS = "--javascript-can-open-windows-automatically=true";
/** What the agent puts before a tab's id in `window.name`. */
const NAME_PREFIX = "tabmq-test-tab:";
const PAGES = new URL("../../pages", import.meta.url).pathname;

class WebkitTab extends Tab {
  constructor(browser, label, id) {
    super(browser, label);
    this.id = id;
    this.agent = browser.orders.agent(id);
    this.console = this.agent.console;
  }

  _evaluate(expression) {
    return this.agent.order(expression);
  }

  async _nextPage(within_ms) {
    await within(within_ms, `a page of ${this.label} takes orders`, this.agent.arrival());
  }

  /** The address that tells the page which tab's orders to take. */
  addressFor(url) {
    const address = new URL(url);
    address.searchParams.set("__tab", this.id);
    return address.href;
  }

  async _navigate(url) {
    const shown = this.agent.nextShown();
    this.agent.command("assign", this.addressFor(url));
    await shown;
  }

  async _reload() {
    const shown = this.agent.nextShown();
    this.agent.command("reload");
    await shown;
  }

  async _close(dead) {
    // Nothing can close a window whose page is dead; the end of the browser does.
    if (dead) return;
    const left = this.agent.departure();
    this.agent.command("close");
    await left;
  }

  _death() {
    return this.agent.departure();
  }

  _hide() {
    throw new Error("nothing can hide a tab of WebKit later: open it hidden");
  }

  async screenshot(path) {
    const { driver, display } = this.browser;
    // Without a driver there is only the screen, with whichever window is on top.
    if (driver === undefined) return display.screenshot(path);
    writeFileSync(path, await driver.screenshot(await driver.findWindow(NAME_PREFIX + this.id)));
  }
}

export class WebkitBrowser extends Browser {
  name = "webkit";
  orders = new OrderChannel();
  #tab_count = 0;

  /**
   * `executables`: paths of `browser`, `driver` and `xvfb`. With `kills` no driver is used.
   */
  static async launch(run, { executables, kills = false, color_scheme = "light" }) {
    const browser = new WebkitBrowser();
    browser.display = await Display.start(run, executables.xvfb);
    const home = run.newProfile("webkit");
    for (const folder of ["tmp", "run"]) mkdirSync(join(home, folder), { mode: 0o700 });
    const environment = run.environment({
      DISPLAY: browser.display.name,
      HOME: home,
      XDG_RUNTIME_DIR: join(home, "run"),
      GTK_THEME: color_scheme === "dark" ? "Adwaita:dark" : "Adwaita",
      // Root may not use the sandbox, and the pages are ours.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
      // Desktop services that are not there, and should not be started for a test.
      DBUS_SESSION_BUS_ADDRESS: "disabled:",
      GSETTINGS_BACKEND: "memory",
      GIO_USE_VFS: "local",
      NO_AT_BRIDGE: "1",
    });
    await browser.#startKeeper();
    if (kills) browser.#spawn(run, executables.browser, [POPUPS, browser.keeper_url], environment);
    else await browser.#startDriven(run, executables, environment);
    await within(LAUNCH_MS, "WebKit starts", browser.keeper.agent.arrival());
    return browser;
  }

  /** The page that stays and opens the others. It is served from an origin of its own. */
  async #startKeeper() {
    this.keeper_server = await TestServer.start({ folders: { "/": PAGES }, orders: this.orders });
    this.keeper = new WebkitTab(this, "keeper", "keeper");
    this.keeper_url = this.keeper.addressFor(this.keeper_server.url("/blank.html"));
  }

  async #startDriven(run, executables, environment) {
    // The driver wants to be told one.
    const port = await freePort();
    this.#spawn(run, executables.driver, [`--port=${port}`], environment);
    const origin = `http://127.0.0.1:${port}`;
    const listening = () => fetch(`${origin}/status`).then(({ ok }) => ok, () => false);
    await until(listening, LAUNCH_MS, "WebKit's driver listens");
    const options = {
      binary: executables.browser,
      args: ["--automation", POPUPS],
    };
    const creating = WebDriverSession.create(origin, { "webkitgtk:browserOptions": options });
    this.driver = await within(LAUNCH_MS, "WebKit starts", creating);
    await this.driver.navigate(this.driver.home, this.keeper_url);
  }

  #spawn(run, executable, flags, environment) {
    const child = spawn(executable, flags, { detached: true, env: environment, stdio: "ignore" });
    this.pid = child.pid;
    run.addGroup(child.pid);
  }

  #newTab(label) {
    this.#tab_count += 1;
    return new WebkitTab(this, label, String(this.#tab_count));
  }

  async _openTab(url, label, { viewport, hidden }) {
    const tab = this.#newTab(label);
    const shown = tab.agent.nextShown();
    const address = tab.addressFor(url);
    if (hidden) {
      // The driver opens tabs behind the one that is visible.
      await this.driver.navigate(await this.driver.openWindow("tab"), address);
    } else {
      const size = viewport && `,popup,width=${viewport.width},height=${viewport.height}`;
      const open = (page, features) => void window.open(page, "_blank", features);
      await this.keeper.evaluate(open, address, `noopener${size ?? ""}`);
    }
    await shown;
    return tab;
  }

  async _cloneTab(original, label) {
    const tab = this.#newTab(label);
    const shown = tab.agent.nextShown();
    const address = tab.addressFor(await original.evaluate(() => location.href));
    await original.evaluate((page) => void window.open(page, "_blank", "popup"), address);
    await shown;
    return tab;
  }

  /** Ends the browser, its driver and its display. */
  async close() {
    const members = () => listProcesses().filter(({ group }) => group === this.pid);
    for (const { pid } of members()) signal(pid, "SIGKILL");
    await until(() => members().length === 0, 20_000, "the processes of webkit ended");
    this.orders.close();
    await this.keeper_server?.close();
    await this.display.close();
  }
}

