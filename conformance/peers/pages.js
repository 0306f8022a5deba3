// Looks at every page of the built book in headless Chromium, wide and as on a phone, with and without JavaScript;
// .ci/book starts it.
//
// usage: node pages.js BOOK [SCREENSHOTS]
//
// Fails where a page is wider than its window, has no text or no way to the others, or a picture does not come.
"use strict";

const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const puppeteer = require("puppeteer-core");

const [book, screenshots] = process.argv.slice(2);
const WINDOWS = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

const pages = (folder) =>
  fs.readdirSync(folder, { withFileTypes: true }).flatMap((it) => {
    const file = path.join(folder, it.name);
    if (it.isDirectory()) return pages(file);
    return it.name.endsWith(".html") && !["404.html", "print.html", "toc.html"].includes(it.name) ? [file] : [];
  });

const looks = () => ({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  text: document.querySelector("main").innerText.length,
  broken: [...document.images].filter((it) => !it.complete || it.naturalWidth === 0).map((it) => it.src),
  list: document.querySelectorAll("nav a[href], nav iframe").length,
});

async function main() {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"],
  });
  const faults = [];
  let count = 0;
  try {
    const page = await browser.newPage();
    for (const scripts of [true, false]) {
      await page.setJavaScriptEnabled(scripts);
      for (const [name, size] of Object.entries(WINDOWS)) {
        await page.setViewport(size);
        for (const file of pages(book)) {
          const shown = path.relative(book, file).replace(/\.html$/, "");
          await page.goto(pathToFileURL(file).href, { waitUntil: "load" });
          const seen = await page.evaluate(looks);
          const place = `${shown}, ${name}${scripts ? "" : ", without JavaScript"}`;
          count += 1;
          if (seen.overflow > 0) faults.push(`${place}: ${seen.overflow} pixels wider than its window`);
          if (seen.text < 100) faults.push(`${place}: ${seen.text} characters of text`);
          if (seen.list === 0) faults.push(`${place}: nothing leads to the other pages`);
          for (const picture of seen.broken) faults.push(`${place}: ${picture} does not come`);
          if (screenshots) {
            const to = `${shown.replaceAll("/", "-")}-${name}${scripts ? "" : "-without-scripts"}.png`;
            await page.screenshot({ path: path.join(screenshots, to) });
          }
        }
      }
    }
  } finally {
    await browser.close();
  }
  console.log(faults.join("\n") || `${count} views of pages, none wider than its window`);
  process.exitCode = faults.length > 0 ? 1 : 0;
}

main();
