"""The command `cashu`, imported once: each line on standard input is a list of its arguments in JSON,
and is run in a forked process, whose output is the line that comes back. Run by nutshell's Python.

Starting the command takes seconds, nearly all of it imports; what runs after them is the same.
"""
import json
import os
import sys
import tempfile
import traceback

from cashu.wallet.cli.cli import cli


def run(arguments: list) -> str:
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            for descriptor in (1, 2):
                os.dup2(output.fileno(), descriptor)
            sys.argv = ["cashu", *arguments]
            try:
                cli(prog_name="cashu")
            except Exception:  # Seen where the command's failure is told.
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(0)
        os.waitpid(child, 0)
        output.seek(0)
        return output.read().decode(errors="replace")


print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
