"""The API's documents as models: what request bodies must be, and what the OpenAPI document says of answers.

Answers are made by dbfirewall.approvals.document; tests hold them against these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dbfirewall.approvals.model import State

MAX_REASON = 1000
"""Security limit: characters of a reason. It reaches the agent, and the audit record."""


def _speakable(text: str) -> str:
    """A reason without blanks around it. ValueError for control characters: it goes to terminals and logs."""
    if any((ord(char) < 32 and char not in "\n\t\r") or 127 <= ord(char) < 160 for char in text):
        msg = "must not hold control characters"
        raise ValueError(msg)
    return text.replace("\r\n", "\n").strip()


def _said(text: str) -> str:
    if not text:
        raise ValueError("must be given: the agent is told it")
    return text


Reason = Annotated[str, Field(max_length=MAX_REASON), AfterValidator(_speakable)]
GivenReason = Annotated[Reason, AfterValidator(_said)]
Rows = Annotated[tuple[Annotated[int, Field(ge=0)] | None, ...], Field(max_length=100)]
Tolerance = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class Body(BaseModel):
    """Base of what clients send: unknown members are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ApproveBody(Body):
    """Let it run. `tolerance`: 0.1 is ten per cent, both ways; null: exact up to 100 rows, then 0.1."""

    reason: Reason = ""
    envelope: Literal["default", "lifted"] = "default"
    tolerance: Tolerance | None = None
    rows: Rows | None = Field(None, description="Rows by statement; null: what the preview counted.")
    accept_undo: bool = Field(False, description="It may run although what it changes can't be restored.")
    seen: str | None = Field(
        None,
        max_length=128,
        description="`seen` of the request as it was shown; 409 where it is another now.",
    )


class DenyBody(Body):
    """Refuse it. The agent is told the reason."""

    reason: GivenReason
    seen: str | None = Field(None, max_length=128)


class SettleBody(Body):
    """Say what became of a statement whose outcome is not known."""

    ran: bool
    reason: GivenReason


class UndoBody(Body):
    """Restore the rows."""

    apply: Literal[True]


class NoBody(Body):
    """Nothing is to be said."""


class Listing(BaseModel):
    """Which requests to list. Times as RFC 3339."""

    model_config = ConfigDict(extra="forbid")

    state: str = Field("", description="States, separated by commas; empty: all.")
    agent: str = ""
    database: str = ""
    role: str = ""
    rule: str = ""
    before: str = Field("", description="Only those created before: `created_at` of the last one listed.")
    limit: int = Field(100, ge=1, le=500)


class Streaming(BaseModel):
    """Which events to send."""

    model_config = ConfigDict(extra="forbid")

    only: Literal["", "approval", "decision"] = Field("", description="One kind of event; empty: both.")


class Answer(BaseModel):
    """Base of what the firewall answers."""


class EffectOut(Answer):
    """What a statement does to an object."""

    action: str
    object: str


class ParameterOut(Answer):
    """One parameter. `type`: the OID that the client gave, 0 for none."""

    value: str | None
    type: int
    null: bool


class TermsOut(Answer):
    """`count` different people of `groups` (of any, where empty) must approve."""

    rule: str
    groups: list[str]
    count: int


class TableOut(Answer):
    """A sample of rows; `after`: as an UPDATE would leave them."""

    name: str
    columns: list[str]
    rows: list[list[str | None]]
    after: list[list[str | None]]


class PreviewOut(Answer):
    """What would happen, as far as that could be found out."""

    made_at: str
    plan: str
    estimate: float | None
    rows: list[int | None]
    tables: list[TableOut]
    objects: list[dict[str, Any]]
    notes: list[str]
    enveloped: bool
    undo: bool
    undo_problem: str


class VoteOut(Answer):
    """One person's word."""

    approver: str
    approve: bool
    at: str
    reason: str
    origin: str


class EnvelopeOut(Answer):
    """How many rows each statement may affect."""

    rows: list[int | None]
    tolerance: float


class UndoState(Answer):
    """Whether what it changed can be restored."""

    rows: int
    available: bool
    undone: bool


class RequestOut(Answer):
    """One request for approval."""

    id: str
    state: State
    agent: str
    role: str
    database: str
    session: str
    peer: str
    application: str
    sql: str
    parameters: list[ParameterOut]
    in_transaction: bool
    settings: dict[str, str]
    effects: list[EffectOut]
    rule: str
    reason: str
    terms: list[TermsOut]
    preview: PreviewOut | None
    seen: str
    votes: list[VoteOut]
    envelope: EnvelopeOut | None
    created_at: str
    updated_at: str
    expires_at: str
    affected: list[int | None]
    error: str
    note: str
    agent_gone: bool
    undo: UndoState
    may_decide: bool


class RequestsOut(Answer):
    """Requests, newest first."""

    approvals: list[RequestOut]


class UndoTableOut(Answer):
    """One table that can be restored."""

    name: str
    rows: int


class UndoOut(Answer):
    """What would restore the rows."""

    sql: str
    tables: list[UndoTableOut]


class UndoneOut(Answer):
    """How many rows were restored."""

    applied: int


class SessionOut(Answer):
    """One agent's session in this process."""

    id: str
    agent: str
    role: str
    database: str
    application: str
    peer: str
    doing: str


class SessionsOut(Answer):
    """Sessions now."""

    sessions: list[SessionOut]


class RulesOut(Answer):
    """The rules in force, without credentials."""

    revision: str
    roles: list[dict[str, Any]]
    agents: list[dict[str, Any]]
    approvers: list[dict[str, Any]]
    databases: list[dict[str, Any]]


class MeOut(Answer):
    """Who asks."""

    approver: str
    groups: list[str]


class ErrorInfo(Answer):
    """What is wrong: a word for programs, a sentence for people."""

    code: str
    message: str


class ErrorOut(Answer):
    """Any answer that is none of the others."""

    error: ErrorInfo
