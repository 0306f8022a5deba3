// Sends every kind of record through the official Node library, by each way that it has.
//
// usage: node records.js http|https HOST:PORT SENT
//
// SENT becomes a file with a line of JSON for each record,
// `{"queue": "engage", "record": {…}}`, as the library hands it to its transport.
"use strict";

const fs = require("fs");
const mixpanel = require("mixpanel");

// A callback that is never called is a failure, too.
process.exitCode = 1;

const [protocol, host, sentPath] = process.argv.slice(2);
const sent = fs.openSync(sentPath, "w");
const QUEUES = { "/track": "events", "/import": "events", "/engage": "engage", "/groups": "groups" };
const LONG_AGO = new Date("2011-03-13T07:06:40.123Z");
const PROPERTIES = () => ({ name: "Zoë 🦅", n: Number.MAX_SAFE_INTEGER, list: ["a", 1.5, null], "": "\u0000" });

/** What is to come out of the queue, with the stamps that the configuration asks the server for. */
function stamped(record, { geolocate, test }) {
  const asked = { ...(geolocate && { ip: "127.0.0.1" }), ...(test && { $test: true }) };
  if (record.properties) return { ...record, properties: { ...asked, ...record.properties } };
  return { ...(geolocate && { $ip: "127.0.0.1" }), ...record };
}

/** A client of the library that notes what it hands to its transport. */
function connect(config) {
  const silent = Object.fromEntries(
    ["trace", "debug", "info", "warn", "error"].map((level) => [level, () => {}]),
  );
  const client = mixpanel.init("a-token", { logger: silent });
  // The same as in `init`, and what an application changes later.
  client.set_config(config);
  const send = client.send_request;
  client.send_request = (options, callback) => {
    for (const record of [].concat(options.data)) {
      const line = { queue: QUEUES[options.endpoint], record: stamped(record, client.config) };
      fs.writeSync(sent, JSON.stringify(line) + "\n");
    }
    send(options, callback);
  };
  return client;
}

/** Calls a method of the library, whose last argument is a callback, and waits for that. */
const call = (object, method, ...values) =>
  new Promise((resolve, reject) => {
    const done = (errors) => {
      const failed = [].concat(errors || []).filter(Boolean);
      if (failed.length) reject(new Error(`${method}: ${failed[0].message}`));
      else resolve();
    };
    object[method](...values, done);
  });

async function events(client) {
  await call(client, "track", "nothing beside the name");
  await call(client, "track", "Page “a” viewed 😀", PROPERTIES());
  await call(client, "track", "with a date", { time: LONG_AGO, distinct_id: "u" });
  await call(client, "track", "$identify", { $identified_id: "u", $anon_id: "x" });
  await call(client, "alias", "u", "an alias");
  const batch = (count) =>
    Array.from({ length: count }, (_, n) => ({ event: "b", properties: { ...PROPERTIES(), n } }));
  await call(client, "track_batch", batch(3));
  await call(client, "track_batch", batch(170), { max_batch_size: 40, max_concurrent_requests: 2 });
  const own = { event: "of another project", properties: { token: "another", time: LONG_AGO } };
  await call(client, "track_batch", [own]);
}

async function imports(client) {
  await call(client, "import", "old", LONG_AGO, PROPERTIES());
  await call(client, "import", "older", 1300000000);
  await call(client, "import", "$merge", LONG_AGO, { $distinct_ids: ["u", "v"] });
  const batch = Array.from({ length: 120 }, (_, n) => ({
    event: "old 😀",
    properties: { time: new Date(LONG_AGO.getTime() + n), n, $insert_id: `id-${n}` },
  }));
  await call(client, "import_batch", batch);
  await call(client, "import_batch", batch.slice(0, 5), { max_batch_size: 2 });
}

async function people(client) {
  const modifiers = { $ignore_time: true, $ip: "203.0.113.7", $time: LONG_AGO, $ignore_alias: true };
  const place = { $latitude: 50.08, $longitude: 14.42 };
  const { people } = client;
  await call(people, "set", "u", PROPERTIES());
  await call(people, "set", "u", "name", "Zoë 🦅");
  await call(people, "set", "u", { ip: "203.0.113.9", a: 1 }, modifiers);
  await call(people, "set", "u", { $ignore_time: true, a: 1 }, place);
  await call(people, "set_once", "u", "first", "x");
  await call(people, "set_once", 17, { first: 1 }, modifiers);
  await call(people, "increment", "u", "visits");
  await call(people, "increment", "u", "visits", -3);
  await call(people, "increment", "u", { visits: 2.5, "": 1 }, modifiers);
  await call(people, "append", "u", "list", "😀");
  await call(people, "append", "u", { list: null, other: [1] }, modifiers);
  await call(people, "track_charge", "u", 12.5);
  await call(people, "track_charge", "u", "7.25", { $time: LONG_AGO, sku: "a" }, modifiers);
  await call(people, "clear_charges", "u");
  await call(people, "remove", "u", { list: "x", n: 1 }, modifiers);
  await call(people, "union", "u", { list: ["x", 1], one: "y" }, modifiers);
  await call(people, "unset", "u", "name");
  await call(people, "unset", "u", ["a", "b"], modifiers);
  await call(people, "delete_user", "u");
  await call(people, "delete_user", "u", { $ignore_alias: true });
}

async function groups(client) {
  const modifiers = { $ignore_time: true, $ip: 0, $time: 1300000000 };
  const { groups } = client;
  const group = ["company", "Žlutý kůň 🦅"];
  await call(groups, "set", ...group, PROPERTIES());
  await call(groups, "set", ...group, "name", "x");
  await call(groups, "set", "company", 17, { a: 1 }, modifiers);
  await call(groups, "set_once", ...group, "first", 1);
  await call(groups, "set_once", ...group, { first: 1 }, modifiers);
  await call(groups, "remove", ...group, { list: "x" });
  await call(groups, "union", ...group, { list: ["x"], one: 1 }, modifiers);
  await call(groups, "unset", ...group, "name");
  await call(groups, "unset", ...group, ["a", "b"], modifiers);
  await call(groups, "delete_group", ...group);
}

async function main() {
  const account = new mixpanel.ServiceAccountCredentials("account", "secret", "12");
  // Over http the library sends no secret, and no service account's.
  const ways = {
    http: [{ key: "a-key" }, { key: "a-key", verbose: true, geolocate: true }],
    https: [
      { credentials: account, debug: true },
      { secret: "a-secret", verbose: true, test: true },
    ],
  };
  for (const config of ways[protocol]) {
    const client = connect({ protocol, host, ...config });
    for (const send of [events, imports, people, groups]) await send(client);
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
