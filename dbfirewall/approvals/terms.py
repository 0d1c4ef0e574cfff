"""A gated decision → what it takes to open it: plain values, as a request keeps them.

Where several gates hold one message, each has to be satisfied, and what they say of the wait is combined to what
harms least: the shortest hold and expiry, held in a transaction only if all say so, the preview that runs least.
A key that a gate leaves out does not count.
"""

from __future__ import annotations

from dbfirewall.approvals.model import Options, Terms
from dbfirewall.policy.decision import Decision
from dbfirewall.policy.models import Role

_PREVIEWS = ("none", "plan", "rows")
"""From the one that runs nothing to the one that runs the statement, to roll it back."""


def terms_and_options(decision: Decision, role: Role) -> tuple[tuple[Terms, ...], Options]:
    """The terms of every gate of `decision`, and what they say beyond that. `role`: whose defaults count."""
    gates = decision.gates
    default = Options()
    holds = [gate.hold for gate in gates if gate.hold is not None]
    hold = min(holds, default=role.hold)
    expires = [gate.expires for gate in gates if gate.expires is not None]
    previews = [gate.preview for gate in gates if gate.preview is not None]
    return tuple(Terms(gate.label, gate.approvers, gate.approvals) for gate in gates), Options(
        hold=default.hold if hold is None else hold / 1000,
        hold_in_transaction=bool(gates) and all(gate.hold_in_transaction for gate in gates),
        cancel_on_disconnect=any(gate.cancel_on_disconnect for gate in gates),
        expires=min(expires) / 1000 if expires else default.expires,
        preview=min(previews, key=_PREVIEWS.index, default=default.preview),
        undo=any(gate.undo == "rows" for gate in gates),
    )
