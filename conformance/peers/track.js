// Delivers events through the official Node library.
//
// usage: node track.js HOST:PORT COUNT single|batch SENT
//
// SENT becomes a file with one line of JSON for each event, as the library handed it over.
"use strict";

const fs = require("fs");
const mixpanel = require("mixpanel");

const VALUES = [
  "plain",
  'žluťoučký kůň 🦅 \u0000 \u2028 \\ " / <b>&amp;=%2B+',
  "",
  0,
  -1,
  Number.MAX_SAFE_INTEGER,
  0.1,
  -1.5e-7,
  1e300,
  12345.678901234567,
  true,
  false,
  null,
  [],
  {},
  [1, 2.5, "three", null, [true, { inner: "ü" }]],
  { plan: "pro", seats: 12, tags: ["a", "b"], owner: { name: "Zoë" } },
];

const properties = (n) => ({
  distinct_id: `user ${n % 10}`,
  n,
  value: VALUES[n % VALUES.length],
  note: "x".repeat(n % 97),
});

const [host, count, mode, sentPath] = process.argv.slice(2);
const sent = fs.openSync(sentPath, "w");
const tracker = mixpanel.init("a-token", { protocol: "http", host });

// What the library hands to its transport is what has to come out of the queue.
const sendRequest = tracker.send_request;
tracker.send_request = (options, callback) => {
  for (const event of [].concat(options.data)) {
    fs.writeSync(sent, JSON.stringify(event) + "\n");
  }
  sendRequest(options, callback);
};

const fail = (error) => {
  console.error(error);
  process.exit(1);
};

const numbers = Array.from({ length: Number(count) }, (_, n) => n);
const name = (n) => `Page “${n % 7}” viewed`;

if (mode === "single") {
  const next = (n) => {
    if (n === numbers.length) process.exit(0);
    tracker.track(name(n), properties(n), (error) => (error ? fail(error) : next(n + 1)));
  };
  next(0);
} else {
  // The library sends its batches of 50 all at once: their order is open, that inside one is not.
  const events = numbers.map((n) => ({ event: name(n), properties: properties(n) }));
  tracker.track_batch(events, (errors) => {
    const failed = [].concat(errors || []).filter(Boolean);
    failed.length ? fail(failed) : process.exit(0);
  });
}
