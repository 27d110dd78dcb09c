// The worker of the package, which stands still when it is told to, until the server answers.
export * from "../tabmq/worker.js";

new BroadcastChannel("still").onmessage = () => {
  const request = new XMLHttpRequest();
  request.open("GET", "/stands-still", false);
  request.send();
};
