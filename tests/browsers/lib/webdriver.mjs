// The few commands of the classic WebDriver protocol that WebKit's driver is needed for.

export class WebDriverSession {
  /** The first window. It stays, because a session without a current window can open none. */
  home;
  #base;
  #last = Promise.resolve();

  static async create(origin, capabilities) {
    const session = new WebDriverSession();
    session.#base = origin;
    const { sessionId } = await session.#send("POST", "/session", {
      capabilities: { alwaysMatch: capabilities },
    });
    session.#base = `${origin}/session/${sessionId}`;
    session.home = await session.#send("GET", "/window");
    return session;
  }

  /** Opens a "window", or a "tab" beside another, and resolves with its handle. */
  async openWindow(type, beside = this.home) {
    const { handle } = await this.#inWindow(beside, "POST", "/window/new", { type });
    return handle;
  }

  navigate(handle, url) {
    return this.#inWindow(handle, "POST", "/url", { url });
  }

  /** The handle of the window or tab whose page has this `window.name`. */
  findWindow(name) {
    return this.#queue(async () => {
      for (const handle of await this.#send("GET", "/window/handles")) {
        await this.#send("POST", "/window", { handle });
        const script = { script: "return window.name", args: [] };
        if ((await this.#send("POST", "/execute/sync", script)) === name) return handle;
      }
      throw new Error(`no window is named ${name}`);
    });
  }

  /** Resolves with the bytes of a PNG. */
  async screenshot(handle) {
    return Buffer.from(await this.#inWindow(handle, "GET", "/screenshot"), "base64");
  }

  #inWindow(handle, method, path, body) {
    return this.#queue(async () => {
      await this.#send("POST", "/window", { handle });
      return this.#send(method, path, body);
    });
  }

  /** A session has one current window, so commands go one after another. */
  #queue(command) {
    const result = this.#last.then(command);
    this.#last = result.catch(() => {});
    return result;
  }

  async #send(method, path, body) {
    const content = method === "POST" ? { body: JSON.stringify(body) } : {};
    const answer = await fetch(this.#base + path, { method, ...content });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }
}
