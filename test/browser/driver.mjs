// Drives a browser for tests written in Go: reads one JSON order a line, and answers one JSON result a line. The folder
// with node_modules is the first argument, the browser's program the second.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const require = createRequire(process.argv[2] + '/package.json');
const { chromium } = require('playwright-core');
const axe = require.resolve('axe-core');

const args = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];
if (process.getuid() === 0) {
  args.push('--no-sandbox');
}
const browser = await chromium.launch({ executablePath: process.argv[3], args });
const pages = new Map();

const orders = {
  async open({ page, width, height, dark, scripts, header, insecure }) {
    const context = await browser.newContext({
      viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', javaScriptEnabled: scripts,
      extraHTTPHeaders: header, ignoreHTTPSErrors: insecure, locale: 'en-GB', timezoneId: 'UTC', bypassCSP: false,
    });
    const made = await context.newPage();
    made.setDefaultTimeout(15000);
    made.complaints = [];
    made.on('console', (message) => {
      if (message.type() === 'error') {
        made.complaints.push(message.text());
      }
    });
    made.on('pageerror', (error) => made.complaints.push(String(error)));
    made.on('request', (request) => made.complaints.push(...(elsewhere(made, request) ? ['asked ' + request.url()] : [])));
    pages.set(page, made);
  },
  async close({ page }) {
    await pages.get(page).context().close();
    pages.delete(page);
  },
  async goto({ page, address }) {
    const answer = await load(pages.get(page), address);
    return { status: answer.status(), address: pages.get(page).url() };
  },
  address: async ({ page }) => pages.get(page).url(),
  text: async ({ page, selector }) => pages.get(page).locator(selector).first().innerText(),
  count: async ({ page, selector }) => pages.get(page).locator(selector).count(),
  wait: async ({ page, selector }) => { await pages.get(page).locator(selector).first().waitFor({ state: 'attached' }); },
  click: async ({ page, selector }) => { await pages.get(page).locator(selector).first().click(); },
  fill: async ({ page, selector, value }) => { await pages.get(page).locator(selector).first().fill(value); },
  press: async ({ page, value }) => { await pages.get(page).keyboard.press(value); },
  evaluate: async ({ page, value }) => pages.get(page).evaluate(value),
  shot: async ({ page, value, whole }) => { await pages.get(page).screenshot({ path: value, fullPage: whole }); },
  complaints: async ({ page }) => pages.get(page).complaints,
  // What makes a page hard to use, as axe finds it. The policy of the page forbids foreign scripts, so axe comes by the
  // debugger.
  async axe({ page }) {
    const source = (await import('node:fs')).readFileSync(axe, 'utf8');
    const session = await pages.get(page).context().newCDPSession(pages.get(page));
    await session.send('Runtime.evaluate', { expression: source });
    const { result } = await session.send('Runtime.evaluate', {
      expression: 'axe.run(document, { resultTypes: ["violations"], preload: false }).then((found) => JSON.stringify(found.violations.map(' +
        '(v) => v.impact + " " + v.id + ": " + v.help + " at " + v.nodes.map((n) => n.target.join(" ")).join(", "))))',
      awaitPromise: true, returnByValue: true,
    });
    return JSON.parse(result.value);
  },
};

// load opens an address. Chromium gives up each request when the machine gets or loses a network, such as an engine's bridge.
async function load(page, address) {
  for (let tries = 5; ; tries--) {
    try {
      return await page.goto(address, { waitUntil: 'load' });
    } catch (error) {
      if (tries === 1 || !String(error.message).includes('net::ERR_NETWORK_CHANGED')) {
        throw error;
      }
    }
  }
}

// elsewhere reports whether a page asks another host than its own.
function elsewhere(page, request) {
  const own = page.url();
  return own.startsWith('http') && request.url().startsWith('http') && !request.isNavigationRequest() &&
    new URL(request.url()).host !== new URL(own).host;
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  let result;
  try {
    result = { value: (await orders[order.order](order)) ?? null };
  } catch (error) {
    result = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(result) + '\n');
}
await browser.close();
