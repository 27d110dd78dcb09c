// Stands for the work of a job. A worker, because the timers of a hidden page fire once a second.
interface Order {
  readonly number: number;
  readonly work_ms: number;
}

addEventListener("message", ({ data }: MessageEvent<Order>) => {
  setTimeout(() => postMessage(data.number), data.work_ms);
});
