"""The base of every model of rules and settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PrivateAttr

from dbfirewall.policy.fields import Mark


class Model(BaseModel):
    """Base of every model: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    _mark: Mark = PrivateAttr(default=Mark())

    @property
    def mark(self) -> Mark:
        """Where this stands in its file."""
        return self._mark

    @classmethod
    def yaml_keys(cls) -> frozenset[str]:
        """The keys that a user may write."""
        return frozenset(cls.model_fields)
