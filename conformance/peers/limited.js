// Delivers events through the official Node library, faster than the server takes them. The library tells its caller,
// who comes back a second later.
//
// usage: node limited.js HOST:PORT TOKEN COUNT
"use strict";

const mixpanel = require("mixpanel");

const [host, token, count] = process.argv.slice(2);
const tracker = mixpanel.init(token, { protocol: "https", host });

const send = (n) => {
  if (n === Number(count)) process.exit(0);
  tracker.track("limited", { distinct_id: "someone", n }, (error) =>
    error ? setTimeout(() => send(n), 1000) : send(n + 1),
  );
};
send(0);
