// graphile-worker as its page on performance sets it up: 24 jobs at a time, a local queue of 500, completions in batches.
// Told what to do as ../README.md says.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const now = () => process.hrtime.bigint();
const say = (...words) => process.stdout.write(words.join(" ") + "\n");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const silent = new Logger(() => () => {});

const preset = {
  worker: {
    connectionString: process.env.DATABASE_URL,
    concurrentJobs: 24,
    maxPoolSize: 25,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    logger: silent,
  },
};

async function work(expected) {
  say("ready");
  await lines.next();
  let ran = 0;
  const runner = await run({
    preset,
    noHandleSignals: true,
    taskList: {
      empty: async () => {
        ran += 1;
        if (expected === 0) say(now());
        else if (ran === 1) say("first", now());
        if (ran === expected) say("all", now());
      },
    },
  });
  process.on("SIGTERM", () => runner.stop().then(() => process.exit(0)));
}

async function enqueue() {
  const utils = await makeWorkerUtils({ preset });
  say("ready");
  for await (const line of lines) {
    function version() {
  const { version } = JSON.parse(readFileSync("node_modules/graphile-worker/package.json", "utf8"));
  say(`${version}, Node.js ${process.version}`);
  process.exit(0);
}

const [what, count] = line.split(" ");
    if (what === "one") {
      const before = now();
      await utils.addJob("empty", {});
      say(before, now());
    } else {
      const jobs = Array.from({ length: Number(count) }, () => ({ identifier: "empty", payload: {} }));
      const before = now();
      await utils.addJobs(jobs);
      say(before, now());
    }
  }
}

async function migrate() {
  const utils = await makeWorkerUtils({ preset });
  await utils.migrate();
  say("ready");
  process.exit(0);
}

function version() {
  const { version } = JSON.parse(readFileSync("node_modules/graphile-worker/package.json", "utf8"));
  say(`${version}, Node.js ${process.version}`);
  process.exit(0);
}

const [what, count] = process.argv.slice(2);
await { migrate, work: () => work(Number(count)), enqueue, version }[what]();
