// What the sagas of the peers share: so many of them at a time, each timed from its start to its end,
// after some to warm up; and the line of figures.
export const [, , address, ...sizes] = process.argv;
const [count, flight] = sizes.map(Number);

export let effects = 0;
export async function act(input) {
  effects += 1;
  return { by: input };
}

async function runAll(run, total, prefix) {
  const times = [];
  let next = 0;
  async function worker() {
    while (next < total) {
      const id = `${prefix}${next++}`;
      const begin = process.hrtime.bigint();
      await run(id);
      times.push(Number(process.hrtime.bigint() - begin) / 1000);
    }
  }
  await Promise.all(Array.from({ length: flight }, worker));
  return times.sort((a, b) => a - b);
}

// `run` ends when the saga has ended, which did each of its three steps once.
export async function measure(run) {
  const mark = `${process.pid}-${Date.now()}-`;
  await runAll(run, Math.min(200, count), `warm-${mark}`);
  const before = effects;
  const cpu = process.cpuUsage();
  const begin = process.hrtime.bigint();
  const times = await runAll(run, count, mark);
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  const used = process.cpuUsage(cpu);
  if (effects - before !== 3 * count) {
    console.error(`${effects - before} effects instead of ${3 * count}`);
    process.exit(1);
  }
  console.log(JSON.stringify({
    ops: count, seconds, ops_per_s: count / seconds,
    p50_us: times[count >> 1], p99_us: times[Math.floor(count * 0.99)],
    cpu_s: (used.user + used.system) / 1e6,
    rss_bytes: process.resourceUsage().maxRSS * 1024,
  }));
  process.exit(0);
}
