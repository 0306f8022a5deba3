// Drives the browser library in headless Chromium; browser.py starts it.
//
// usage: node browser.js TRACKER NODE_MODULES SENT
//
// The pages come from another origin than the tracker. SENT becomes a file with a line of JSON for each record,
// `{"queue": "engage", "record": {…}, "again": false}`: what the library says that it sends, with what it adds
// behind that, and with the stamps that it asks the server for. `again` is true of what a page that is left sends
// as a beacon: the library cannot know whether that arrived, and the next page sends it again.
"use strict";

const fs = require("fs");
const http = require("http");
const path = require("path");
const readline = require("readline");
const puppeteer = require("puppeteer-core");

const [tracker, modules, sentPath] = process.argv.slice(2);
const library = fs.readFileSync(path.join(modules, "mixpanel-browser/dist/mixpanel.umd.js"));
const BOUND = 30_000;

const PAGE = `<!doctype html><meta charset="utf-8"><title>Žluťoučký kůň 😀 & “b”</title>
<link rel="icon" href="data:,"><script src="/library.js"></script><script src="/page.js"></script>`;

// What runs in each page, as text of its own: an application around the library.
function application(tracker) {
  const PLAIN = { batch_requests: false };
  const BATCH = { batch_flush_interval_ms: 200 };
  // Nothing is sent before the page ends.
  const UNTIL_CLOSED = { batch_flush_interval_ms: 3_600_000, batch_size: 1000 };
  // Another page takes what was left over after twice that time.
  const UNTIL_LEFT = { batch_flush_interval_ms: 1000 };
  const JSON_PAYLOAD = { api_payload_format: "json" };
  const CONFIGS = {
    plain: PLAIN,
    "plain-json": { ...PLAIN, ...JSON_PAYLOAD },
    "plain-get": { ...PLAIN, api_method: "GET", ip: false },
    "plain-verbose": { ...PLAIN, verbose: true, test: true },
    beacon: { ...PLAIN, api_transport: "sendBeacon" },
    "beacon-json": { ...PLAIN, ...JSON_PAYLOAD, api_transport: "sendBeacon" },
    image: { ...PLAIN, api_method: "GET", img: true },
    batch: BATCH,
    "batch-json": { ...BATCH, ...JSON_PAYLOAD },
    // What is asked for beside is not built here: the library has to find nothing wrong with that.
    asking: { ...BATCH, flags: true, remote_settings_mode: "fallback" },
    halved: BATCH,
    "halved-json": { ...BATCH, ...JSON_PAYLOAD },
    restarted: BATCH,
    closed: UNTIL_CLOSED,
    "closed-json": { ...UNTIL_CLOSED, ...JSON_PAYLOAD },
    left: UNTIL_LEFT,
    "left-json": { ...UNTIL_LEFT, ...JSON_PAYLOAD },
  };
  const errors = (window.errors = []);
  let number = 0;

  // A string that the library cut within a character: half of one is no text.
  const whole = (value) => {
    if (typeof value === "string") return value.toWellFormed();
    if (Array.isArray(value)) return value.map(whole);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, whole(it)]));
  };

  const note = (queue, config, again) => (record) => {
    const stamped = { ...record };
    const isBatched = config.batch_requests !== false;
    if (queue === "events") {
      stamped.properties = {
        ...(config.ip !== false && { ip: "127.0.0.1" }),
        ...(config.test && { $test: true }),
        ...record.properties,
        ...(isBatched && { mp_sent_by_lib_version: record.properties.$lib_version }),
      };
    } else if (config.ip !== false && !("$ip" in record)) {
      stamped.$ip = "127.0.0.1";
    }
    const line = JSON.stringify({ queue, record: whole(stamped), again });
    localStorage.setItem("noted", (localStorage.getItem("noted") || "") + line + "\n");
    return record;
  };

  const connect = (name, changes) => {
    const config = { ...CONFIGS[name], ...changes };
    const again = name.startsWith("left");
    const hooks = {
      before_send_people: note("engage", config, again),
      before_send_groups: note("groups", config, again),
    };
    const error_reporter = (message) => errors.push(`${name}: ${message}`);
    mixpanel.init(`token-${name}`, { api_host: tracker, hooks, error_reporter, ...config }, name);
    const lib = mixpanel[name];
    // It keeps some events from its hooks, and a page that ends may not be able to note anything any more.
    const track = lib.track;
    const noteEvent = note("events", config, again);
    lib.track = (...values) => noteEvent(track.apply(lib, values));
    return lib;
  };

  const values = () => [
    "plain",
    "žluťoučký kůň 🦅 \u0000 \u2028 \\ \" / <b>&amp;=%2B+",
    // The library cuts strings at 255 characters of UTF-16: this one within an emoji.
    "x" + "😀".repeat(200),
    "👩‍👩‍👧‍👦 🇨🇿 \ud83d",
    "",
    0,
    -1.5e-7,
    Number.MAX_SAFE_INTEGER,
    1e300,
    true,
    null,
    [],
    { plan: "pro", tags: ["a", "😀"], owner: { name: "Zoë" } },
    new Date(1300000000123),
  ];

  // Each method once, and each value.
  window.everything = (name) => {
    const lib = connect(name);
    lib.track_pageview({ n: number++ });
    for (const value of values()) lib.track("Stránka “a” 😀", { n: number++, value });
    lib.register({ "super 😀": "Zoë 🦅" });
    lib.register_once({ once: 1 });
    lib.time_event("timed");
    lib.track("timed", { n: number++, ip: "203.0.113.7" });
    lib.set_group("company", ["a 😀", "b"]);
    lib.add_group("company", "c");
    lib.remove_group("company", "b");
    lib.track_with_groups("grouped", { n: number++ }, { company: "d" });
    lib.people.set({ "before identify": "😀", n: number++ });
    lib.identify(`user-${name}-😀`);
    lib.alias(`alias-${name}`);
    lib.people.set("name", "Zoë 🦅");
    lib.people.set({ list: values().slice(0, 4), n: number++ });
    lib.people.set_once({ first: new Date(1300000000123), n: number++ });
    lib.people.increment("visits");
    lib.people.increment({ visits: -2.5, n: number++ });
    lib.people.append({ list: "😀", n: number++ });
    lib.people.union({ list: ["x", 1], n: [number++] });
    lib.people.remove({ list: "😀", n: number++ });
    lib.people.unset(["a", `b${number++}`]);
    lib.people.track_charge(12.5, { sku: "😀", $time: new Date(1300000000123) });
    lib.people.clear_charges();
    const group = lib.get_group("company", "a 😀");
    group.set({ name: "Zoë 🦅", n: number++ });
    group.set_once({ first: 1, n: number++ });
    group.union("list", ["😀", number++]);
    group.remove("list", "😀");
    group.unset("name");
    lib.people.delete_user();
  };

  // Events of about 1.5 KB; resolves once the library keeps them.
  window.many = (name, count) => {
    const lib = mixpanel[name] || connect(name);
    const kept = Array.from({ length: count }, () => {
      const properties = { n: number++, emoji: "😀".repeat(50) };
      for (let part = 0; part < 4; part++) properties[`part-${part}`] = "é".repeat(200);
      return new Promise((resolve) => lib.track("large 😀", properties, resolve));
    });
    return Promise.all(kept);
  };

  // One event, from whoever calls.
  window.one = (name) => (mixpanel[name] || connect(name)).track("one 😀", { n: number++ });

  // On another page, which sends what was left.
  window.reopen = (name) => connect(name, BATCH);

  // Whether nothing waits in the library's queues of those names.
  window.isEmpty = (names) =>
    Object.keys(localStorage)
      .filter((key) => new RegExp(`^__mpq_token-(${names})_(ev|pp|gr)$`).test(key))
      .every((key) => JSON.parse(localStorage.getItem(key)).length === 0);
}

function servePages() {
  const text = `(${application})(${JSON.stringify(tracker)});`;
  const server = http.createServer((request, response) => {
    const [type, body] =
      {
        "/library.js": ["text/javascript", library],
        "/page.js": ["text/javascript", text],
      }[request.url] || ["text/html", PAGE];
    response.setHeader("Content-Type", `${type}; charset=utf-8`);
    response.end(body);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function restart() {
  process.stdout.write("restart\n");
  await answers.next();
}

async function main() {
  const pages = await servePages();
  const origin = `http://localhost:${pages.address().port}/`;
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"],
  });
  const asked = new Set();
  const open = async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(BOUND);
    page.on("response", (response) => asked.add(new URL(response.url()).pathname));
    page.on("requestfailed", (request) => console.log(`failed: ${request.method()} ${request.url().slice(0, 60)} ${request.failure().errorText}`));
    page.on("pageerror", (error) => console.log(`in the page: ${error.message}`));
    await page.goto(origin);
    return page;
  };

  // Everything, by each way.
  let page = await open();
  const sent = (names) => page.waitForFunction((names) => window.isEmpty(names), {}, names);
  const ways = ["plain", "plain-json", "plain-get", "plain-verbose", "beacon", "beacon-json", "image"];
  for (const way of [...ways, "batch", "batch-json", "asking"]) {
    await page.evaluate((name) => window.everything(name), way);
    await page.waitForNetworkIdle({ idleTime: 100 });
  }
  await sent("batch|batch-json|asking");

  // Batches that are larger than the server takes.
  for (const way of ["halved", "halved-json"]) {
    await page.evaluate((name) => window.many(name, 120), way);
    await sent(way);
  }
  const reported = await page.evaluate(() => window.errors.splice(0));
  const errors = reported.filter((error) => !/^halved.* 413 /.test(error));
  const halved = reported.filter((error) => error.includes("413 response; reducing batch size"));
  console.log(`halved ${halved.length} times`);
  if (halved.length < 2) throw new Error(`not halved: ${reported}`);

  // A server that goes and comes back, twice, while the page sends.
  const sending = await page.evaluateHandle(() => {
    const send = () => ["restarted", "plain", "plain-get"].forEach(window.one);
    return setInterval(send, 20);
  });
  for (let time = 0; time < 2; time++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await restart();
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  await page.evaluate((timer) => clearInterval(timer), sending);
  await page.waitForNetworkIdle({ idleTime: 300 });
  await sent("restarted");
  errors.push(...(await page.evaluate(() => window.errors.splice(0))));

  // A page that is closed: what waits arrives by a beacon, or not at all.
  await page.evaluate(() => Promise.all(["closed", "closed-json"].map((name) => window.many(name, 2))).then(() => {}));
  const closed = new Promise((resolve) => page.once("close", resolve));
  await page.close({ runBeforeUnload: true });
  await closed;
  // And one that is left for another: that page sends everything again.
  page = await open();
  await page.evaluate(() => Promise.all(["left", "left-json"].map((name) => window.many(name, 2))).then(() => {}));
  await page.goto(`${origin}other`);
  await page.evaluate(() => ["left", "left-json"].forEach((name) => window.reopen(name)));
  await sent("left|left-json");

  fs.writeFileSync(sentPath, await page.evaluate(() => localStorage.getItem("noted")));
  errors.push(...(await page.evaluate(() => window.errors)));
  await browser.close();
  pages.close();
  for (const path of ["/flags", "/settings"]) {
    if (!asked.has(path) && !asked.has(`${path}/`)) throw new Error(`${path} is not asked for: ${[...asked]}`);
  }
  if (errors.length) throw new Error(`the library reports ${errors.length} errors: ${errors.slice(0, 5)}`);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
