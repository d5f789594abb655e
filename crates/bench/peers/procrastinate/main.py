"""procrastinate with an asynchronous connector, 20 jobs at a time, woken by notifications. Told what to do as ../README.md says."""

import asyncio
import importlib.metadata
import logging
import os
import platform
import sys
import time

import procrastinate

CONCURRENCY = 20

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(
        conninfo=os.environ.get("DATABASE_URL", ""), min_size=1, max_size=CONCURRENCY + 2
    )
)
counter = {"ran": 0, "expected": 0}


def say(*words):
    print(*words, flush=True)


@app.task(name="empty", queue="bench")
async def empty():
    counter["ran"] += 1
    ran, expected = counter["ran"], counter["expected"]
    if expected == 0:
        say(time.monotonic_ns())
    elif ran == 1:
        say("first", time.monotonic_ns())
    if ran == expected:
        say("all", time.monotonic_ns())


async def line():
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def migrate():
    await app.schema_manager.apply_schema_async()
    say("ready")


async def work(expected):
    counter["expected"] = expected
    say("ready")
    await line()
    await app.run_worker_async(queues=["bench"], concurrency=CONCURRENCY, delete_jobs="never")


async def enqueue():
    say("ready")
    while text := await line():
        what, _, count = text.strip().partition(" ")
        if what == "one":
            before = time.monotonic_ns()
            await empty.defer_async()
        else:
            jobs = [{}] * int(count)
            before = time.monotonic_ns()
            await empty.batch_defer_async(*jobs)
        say(before, time.monotonic_ns())


async def main():
    logging.disable(logging.WARNING)
    what, *arguments = sys.argv[1:]
    if what == "version":
        say(f"{importlib.metadata.version('procrastinate')}, Python {platform.python_version()}")
        return
    async with app.open_async():
        if what == "work":
            await work(int(arguments[0]))
        else:
            await {"migrate": migrate, "enqueue": enqueue}[what]()


asyncio.run(main())
