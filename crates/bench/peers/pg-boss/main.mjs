// pg-boss as its pages on workers advise for throughput and for latency at once: batches of 100, four workers, fetching on
// while batches are full, woken by notifications. Told what to do as ../README.md says.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { PgBoss } from "pg-boss";

const now = () => process.hrtime.bigint();
const say = (...words) => process.stdout.write(words.join(" ") + "\n");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const queue = "bench";

async function start(options) {
  const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, ...options });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  return boss;
}

async function work(expected) {
  const boss = await start({ useListenNotify: true });
  say("ready");
  await lines.next();
  let ran = 0;
  const options = { batchSize: 100, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
  process.on("SIGTERM", () => boss.stop({ graceful: false }).then(() => process.exit(0)));
  await boss.work(queue, options, async (jobs) => {
    for (const _ of jobs) {
      ran += 1;
      if (expected === 0) say(now());
      else if (ran === 1) say("first", now());
      if (ran === expected) say("all", now());
    }
  });
}

async function enqueue() {
  const boss = await start({ supervise: false, schedule: false });
  say("ready");
  for await (const line of lines) {
    const [what, count] = line.split(" ");
    if (what === "one") {
      const before = now();
      await boss.send(queue, {});
      say(before, now());
    } else {
      const jobs = Array.from({ length: Number(count) }, () => ({ data: {} }));
      const before = now();
      await boss.insert(queue, jobs);
      say(before, now());
    }
  }
  process.exit(0);
}

async function migrate() {
  const boss = await start({ supervise: false, schedule: false });
  await boss.createQueue(queue, { notify: true });
  say("ready");
  await boss.stop({ graceful: false });
  process.exit(0);
}

function version() {
  const { version } = JSON.parse(readFileSync("node_modules/pg-boss/package.json", "utf8"));
  say(`${version}, Node.js ${process.version}`);
  process.exit(0);
}

const [what, count] = process.argv.slice(2);
await { migrate, work: () => work(Number(count)), enqueue, version }[what]();
