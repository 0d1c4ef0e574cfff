"""Release gates: requests for approval, who decides them, and where they are kept (docs/approvals.md)."""
