"""Programs from Debian's packages that some targets need."""

from __future__ import annotations

import os
import shutil
import subprocess


def need(name: str) -> str:
    """The path of a program; installed from the package of its name where it is missing and we may.

    RuntimeError where it can't be had.
    """
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    if found := shutil.which(name, path=path):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", name]
        subprocess.run(install, env=environment, check=False)
    if found := shutil.which(name, path=path):
        return found
    raise RuntimeError(f"{name} is needed (apt-get install {name})")
