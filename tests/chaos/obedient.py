"""`python -m tests.chaos.obedient …`: the firewall, but even as root it may write only where a mode says so.

prctl(2) and capabilities(7), Linux only; whoever may not call it needs it not.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2

if __name__ == "__main__":
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.execv(sys.executable, [sys.executable, "-m", "dbfirewall", *sys.argv[1:]])
