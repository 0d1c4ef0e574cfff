// Smoke tests of node-postgres; connects by libpq's variables. Prints one line per test, TAP-like.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import Cursor from "pg-cursor";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import pg from "pg";

async function test(name, body) {
  const client = new pg.Client();
  try {
    await client.connect();
    await body(client);
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name} # ${String(error.message).split("\n")[0]}`);
  } finally {
    await client.end().catch(() => {});
  }
}

const rejects = (promise, code) => assert.rejects(promise, (error) => error.code === code);

await test("simple", async (c) => {
  const { rows } = await c.query("SELECT 1 AS a, 'x' AS b, NULL AS c");
  assert.deepEqual(rows, [{ a: 1, b: "x", c: null }]);
});
await test("several statements", async (c) => {
  const results = await c.query("SELECT 1 AS a; SELECT 2 AS a");
  assert.deepEqual(results.map((r) => r.rows[0].a), [1, 2]);
});
await test("parameters", async (c) => {
  const { rows } = await c.query("SELECT $1::int + $2::int AS s, $3::text[] AS t", [1, 2, ["a", "b"]]);
  assert.deepEqual(rows, [{ s: 3, t: ["a", "b"] }]);
});
await test("prepared", async (c) => {
  for (let i = 0; i < 5; i++) {
    const { rows } = await c.query({ name: "twice", text: "SELECT 2 * $1::int AS x", values: [i] });
    assert.equal(rows[0].x, 2 * i);
  }
});
await test("cursor", async (c) => {
  const cursor = c.query(new Cursor("SELECT g FROM generate_series(1, 1000) g"));
  let seen = 0;
  for (let rows; (rows = await cursor.read(100)).length; ) seen += rows.length;
  await cursor.close();
  assert.equal(seen, 1000);
});
await test("copy in and out", async (c) => {
  await c.query("CREATE TEMP TABLE copied (a int, b text)");
  const lines = Array.from({ length: 5000 }, (_, i) => `${i}\trow ${i}\n`);
  await pipeline(Readable.from(lines), c.query(copyFrom("COPY copied FROM STDIN")));
  let bytes = 0;
  for await (const chunk of c.query(copyTo("COPY copied TO STDOUT"))) bytes += chunk.length;
  assert.equal(bytes, lines.join("").length);
});
await test("listen and notify", async (c) => {
  const heard = new Promise((resolve) => c.once("notification", resolve));
  await c.query("LISTEN news");
  await c.query("NOTIFY news, 'hello'");
  assert.equal((await heard).payload, "hello");
});
await test("cancel", async (c) => {
  const running = rejects(c.query("SELECT pg_sleep(30)"), "57014");
  const other = new pg.Client();
  setTimeout(() => other.cancel(c, c.activeQuery ?? c._activeQuery), 300);
  await running;
  assert.equal((await c.query("SELECT 1 AS a")).rows[0].a, 1);
});
await test("transaction", async (c) => {
  await c.query("CREATE TEMP TABLE kept (a int)");
  await c.query("BEGIN");
  await c.query("INSERT INTO kept VALUES (1)");
  await rejects(c.query("SELECT 1/0"), "22012");
  await rejects(c.query("SELECT 1"), "25P02");
  await c.query("ROLLBACK");
  assert.equal((await c.query("SELECT count(*)::int AS n FROM kept")).rows[0].n, 0);
});
await test("errors keep their place", async (c) => {
  await assert.rejects(c.query("SELEC 1"), (error) => error.code === "42601" && error.position === "1");
});
await test("queued queries", async (c) => {
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => c.query("SELECT $1::int AS a", [i])));
  assert.deepEqual(answers.map((r) => r.rows[0].a), [...Array(50).keys()]);
});
await test("large values", async (c) => {
  const { rows } = await c.query("SELECT $1::text AS t, length($1::text) AS n", ["é".repeat(1_000_000)]);
  assert.equal(rows[0].n, 1_000_000);
});
await test("set, role and do", async (c) => {
  await c.query("SET search_path = pg_catalog; SET work_mem = '8MB'; DO $$ BEGIN PERFORM 1; END $$");
  assert.equal((await c.query("SHOW work_mem")).rows[0].work_mem, "8MB");
  await c.query("SET ROLE pg_monitor");
  assert.equal((await c.query("SELECT current_user AS u")).rows[0].u, "pg_monitor");
  await c.query("RESET ROLE");
  await c.query("DISCARD ALL");
});
{
  const pool = new pg.Pool({ max: 5 });
  await test("pool", async () => {
    const rows = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.query("SELECT $1::int AS a", [i])));
    assert.deepEqual(rows.map((r) => r.rows[0].a), [...Array(40).keys()]);
  });
  await pool.end();
}
