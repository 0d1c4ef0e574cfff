"""The pictures in docs/images: `python -m tests.browser.screenshots`. Every agent and person in them is made up."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from dbfirewall.approvals.model import Parameter, Table, Terms
from tests.browser import chromium
from tests.browser.people import live, sign_in
from tests.web.stage import BOB, Stage, preview, snapshot

IMAGES = Path(__file__).parents[2] / "docs" / "images"

UPDATE = """\
UPDATE public.orders AS o
   SET status = 'cancelled', note = 'customer inactive since ' || $1
  FROM public.customers AS c
 WHERE c.id = o.customer_id
   AND o.status <> 'shipped'
   AND c.last_seen < $1  -- nobody comes back after that"""

PLAN = """\
Update on orders o  (cost=1.09..44.20 rows=3 width=78)
  ->  Hash Join  (cost=1.09..44.20 rows=3 width=78)
        Hash Cond: (o.customer_id = c.id)"""

BEFORE = (("1041", "77", "open", None), ("1042", "77", "open", "call first"), ("1077", "81", "packed", None))


def furnish(stage: Stage) -> str:
    """A morning's requests; the one to look at."""
    after = tuple((row[0], row[1], "cancelled", "customer inactive since 2023-01-01") for row in BEFORE)
    table = Table("public.orders", ("id", "customer_id", "status", "note"), BEFORE, after)
    one = stage.submit(
        snapshot("DELETE FROM public.carts WHERE abandoned", effects=(("delete", "public.carts"),)),
        seen=preview(rows=(1200,)),
    )
    stage.api(f"/approvals/{one.id}/approve", {"reason": "as every month"})
    drop = snapshot("DROP TABLE public.orders_2019", effects=(("drop", "public.orders_2019"),), agent="tidy")
    objects = ({"object": "public.orders_2019", "kind": "table", "rows": 1_204_311, "bytes": 327_155_712},)
    shown = preview(rows=(), estimate=None, objects=objects, tables=(), notes=(), enveloped=False)
    stage.submit(drop, terms=(Terms("gate ddl", ("dba",), 2),), seen=shown)
    stage.submit(snapshot("TRUNCATE public.import_staging", effects=(("truncate", "public.import_staging"),)))
    update = snapshot(
        UPDATE,
        agent="support-bot",
        application="ticket 4711",
        parameters=(Parameter(1082, 0, b"2023-01-01"),),
        effects=(("update", "public.orders"), ("select", "public.orders"), ("select", "public.customers")),
    )
    note = "It locks 3 rows of public.orders until its transaction ends."
    return stage.submit(
        update,
        seen=preview(rows=(3,), tables=(table,), plan=PLAN, notes=(note,), made_at=stage.approvals.now()),
    ).id


def take(stage: Stage, browser: Browser, name: str, path: str, *, full: bool = True, **options: Any) -> None:
    """One picture."""
    context = browser.new_context(
        **{"viewport": {"width": 1200, "height": 760}, "color_scheme": "light", **options}
    )
    page = sign_in(context, stage.url, BOB, path)
    live(page)
    page.screenshot(path=IMAGES / f"{name}.png", full_page=full)
    context.close()


def main() -> None:
    """Take them all."""
    IMAGES.mkdir(exist_ok=True)
    stage = Stage(Path(tempfile.mkdtemp()))
    try:
        request = furnish(stage)
        phone = {"viewport": {"width": 390, "height": 844}}
        with chromium.browser() as browser:
            take(stage, browser, "console-request", f"/approvals/{request}")
            take(stage, browser, "console-waiting-dark", "/approvals", color_scheme="dark")
            take(stage, browser, "console-phone", f"/approvals/{request}", full=False, **phone)
    finally:
        stage.stop()


if __name__ == "__main__":
    main()
