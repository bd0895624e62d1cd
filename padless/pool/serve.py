"""The process behind a `padless.pool.Pool`: `python -P serve.py FILE` answers requests with the `answer` of FILE.

It imports neither padless nor torch, so that it starts as fast as the compiler or simulator behind it. A request is a line
of JSON and then as many bytes as its `bytes` says; the reply is a line of JSON. It ends with its standard input, and, also
in the middle of a request, with the process that started it.
"""

import json
import os
import runpy
import sys
import threading
import time

LOOKING = 0.5  # seconds between two looks at whether the parent is still there


def watch(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(LOOKING)
    os._exit(1)


def main() -> None:
    if hasattr(os, "getppid"):
        threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever is printed goes to standard error
    answer = runpy.run_path(sys.argv[1])["answer"]
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        payload = sys.stdin.buffer.read(request["bytes"])
        try:
            reply = answer(request, payload)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
