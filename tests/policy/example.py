"""The rules file of the documentation's main example, with a verifier that is one."""

from __future__ import annotations

VERIFIER = (
    "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

EXAMPLE = f"""\
version: 1
roles:
  analyst:
    access: read-only            # read-only | read-write. A ceiling: no rule below lifts it.
    search_path: [public]
    rules:
      - allow: select            # an action, a group, or a list of them
        on: [public.orders, reporting.*]
      - deny: select
        on: public.customers
        columns: [ssn, card_number]
        reason: Card data is out of scope; use reporting.customers_masked.
      - allow: call
        on: [public.revenue_by_month]
    limits:
      statement_timeout: 30s
      max_rows: 10000            # rows returned per statement
      queries: 600/min
  maintainer:
    access: read-write
    rules:
      - allow: [select, insert]
        on: public.*
      - allow: update
        on: public.orders
        require_where: true
        max_rows_affected: 100
      - gate: [update, delete, truncate]
        on: public.*
        approvers: [dba]
      - gate: ddl
        approvers: [dba]
      - deny: drop
        kind: [database, schema]
agents:
  nightly-report: {{role: analyst, database: shop, password: "{VERIFIER}"}}
approvers:
  alice: {{groups: [dba], token: "sha256:{"0" * 64}"}}
databases:
  shop:
    dsn: postgresql://db.internal:5432/shop
    logins:                      # the firewall's logins, per role; agents never see them
      analyst: {{user: analyst_ro, password: {{env: ANALYST_RO_PASSWORD}}}}
"""
