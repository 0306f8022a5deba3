// Looks at the status page in headless Chromium; tests/admin.rs starts it.
//
// usage: node status.js URL TURNS [SCREENSHOTS]
//
// Prints what the page shows, as a line of JSON, once it was fed TURNS times and at every further line on standard
// input. SCREENSHOTS is where pictures go, with the name on that line: wide and light, wide and dark, as on a phone.
"use strict";

const path = require("path");
const readline = require("readline");
const puppeteer = require("puppeteer-core");

const [url, turns, screenshots] = process.argv.slice(2);
const BOUND = 30_000;
const WIDE = { width: 1200, height: 1100 };
// Without `isMobile`, for which the page would be loaded anew.
const PHONE = { width: 390, height: 1700 };

async function fed(page, more) {
  const now = await page.evaluate(() => Number(document.body.dataset.turn ?? 0));
  await page.waitForFunction((n) => Number(document.body.dataset.turn) >= n, { timeout: BOUND }, now + more);
}

// The figures, the rows of each table, and whether the page is wider than its window.
const shown = (page) =>
  page.evaluate(() => ({
    figures: Object.fromEntries(
      [...document.querySelectorAll(".tile b")].map((it) => [it.id, { text: it.textContent, raw: it.dataset.raw }]),
    ),
    tables: Object.fromEntries(
      [...document.querySelectorAll("tbody")].map((it) => [
        it.id,
        [...it.rows].map((row) => [...row.cells].map((cell) => cell.dataset.raw ?? cell.textContent)),
      ]),
    ),
    state: document.getElementById("state").textContent,
    overflows: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  }));

async function main() {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"],
  });
  const errors = [];
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("request", (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith("data:")) errors.push(`asked for ${request.url()}`);
    });
    await page.setViewport(WIDE);
    await page.goto(url, { timeout: BOUND });
    await fed(page, Number(turns));
    console.log("ready");
    for await (const name of readline.createInterface({ input: process.stdin })) {
      // One may be under way already.
      await fed(page, 2);
      const wide = await shown(page);
      await page.setViewport(PHONE);
      const phone = await shown(page);
      for (const [kind, scheme, viewport] of [["light", "light", WIDE], ["dark", "dark", WIDE], ["phone", "dark", PHONE]]) {
        if (!screenshots) continue;
        await page.setViewport(viewport);
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await page.screenshot({ path: path.join(screenshots, `${name}-${kind}.png`) });
      }
      await page.setViewport(WIDE);
      console.log(JSON.stringify({ ...wide, overflows: wide.overflows || phone.overflows, errors }));
    }
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
