"""@kubernetes/client-node 1.x against a wherry server; the script itself is node/client_test.mjs.

    node_test.py WHERRY DIRECTORY     where to npm-install the client, once
"""

import os
import shutil
import subprocess
import sys
import threading

from wherry_server import Server

HERE = os.path.dirname(os.path.abspath(__file__))


def install(directory):
    """The client in `directory`, beside a copy of the script, which finds it there."""
    os.makedirs(directory, exist_ok=True)
    for name in ("package.json", "client_test.mjs"):
        shutil.copy(os.path.join(HERE, "node", name), directory)
    if os.path.isdir(os.path.join(directory, "node_modules/@kubernetes/client-node")):
        return
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=directory, check=True, timeout=300)


def main():
    binary, directory = sys.argv[1:]
    if not shutil.which("node") or not shutil.which("npm"):
        print("skipped: no node or npm; tests/setup.sh brings them")
        return 77
    install(directory)
    with Server(binary) as server:
        script = subprocess.Popen(["node", "client_test.mjs", server.kubeconfig], cwd=directory, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        limit = threading.Timer(120, script.kill)
        limit.start()
        try:
            for line in script.stdout:
                print(line, end="")
                if line == "restart\n":
                    server.kill()
                    server.start()
                    script.stdin.write("\n")
                    script.stdin.flush()
            status = script.wait()
        finally:
            limit.cancel()
            script.kill()
        assert status == 0, f"client_test.mjs ended with {status}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
