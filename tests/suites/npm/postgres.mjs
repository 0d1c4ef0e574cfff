// Smoke tests of postgres.js; connects by libpq's variables. Prints one line per test, TAP-like.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import postgres from "postgres";

async function test(name, body) {
  const sql = postgres({ max: 3, onnotice: () => {}, database: "postgres" });
  try {
    await body(sql);
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name} # ${String(error.message).split("\n")[0]}`);
  } finally {
    await sql.end({ timeout: 2 });
  }
}

const range = (n) => [...Array(n).keys()];

await test("simple", async (sql) => {
  assert.equal((await sql`SELECT 1 AS a`.simple())[0].a, 1);
});
await test("parameters", async (sql) => {
  const rows = await sql`SELECT ${7}::int AS a, ${sql.array([1, 2], 1007)} AS b, ${null}::text AS c`;
  assert.deepEqual([...rows], [{ a: 7, b: [1, 2], c: null }]);
});
await test("prepared", async (sql) => {
  for (const i of range(10)) assert.equal((await sql`SELECT 2 * ${i}::int AS x`)[0].x, 2 * i);
});
await test("pipeline", async (sql) => {
  const rows = await Promise.all(range(100).map((i) => sql`SELECT ${i}::int AS a`));
  assert.deepEqual(rows.map((r) => r[0].a), range(100));
});
await test("cursor", async (sql) => {
  let seen = 0;
  for await (const rows of sql`SELECT g FROM generate_series(1, 1000) g`.cursor(90)) seen += rows.length;
  assert.equal(seen, 1000);
});
await test("copy in and out", async (sql) => {
  const one = await sql.reserve();
  await one`CREATE TEMP TABLE copied (a int, b text)`;
  const lines = range(5000).map((i) => `${i}\trow ${i}\n`);
  await pipeline(Readable.from(lines), await one`COPY copied FROM STDIN`.writable());
  let bytes = 0;
  for await (const chunk of await one`COPY copied TO STDOUT`.readable()) bytes += chunk.length;
  one.release();
  assert.equal(bytes, lines.join("").length);
});
await test("listen and notify", async (sql) => {
  let hear;
  const heard = new Promise((resolve) => (hear = resolve));
  await sql.listen("news", hear);
  await sql.notify("news", "hello");
  assert.equal(await heard, "hello");
});
await test("cancel", async (sql) => {
  const running = sql`SELECT pg_sleep(30)`.execute();
  setTimeout(() => running.cancel(), 300);
  await assert.rejects(running, (error) => error.code === "57014");
  assert.equal((await sql`SELECT 1 AS a`)[0].a, 1);
});
await test("transaction", async (sql) => {
  await sql`CREATE TABLE kept (a int)`;
  await assert.rejects(
    sql.begin(async (tx) => {
      await tx`INSERT INTO kept VALUES (1)`;
      await tx.savepoint(async (sp) => sp`SELECT 1/0`).catch(() => {});
      await tx`SELECT 1/0`;
    }),
    (error) => error.code === "22012",
  );
  assert.equal((await sql`SELECT count(*)::int AS n FROM kept`)[0].n, 0);
  await sql`DROP TABLE kept`;
});
await test("describe", async (sql) => {
  const { types } = await sql`SELECT ${1}::int`.describe();
  assert.deepEqual([...types], [23]);
});
await test("large values", async (sql) => {
  assert.equal((await sql`SELECT length(${"é".repeat(1_000_000)}) AS n`)[0].n, 1_000_000);
});
