// Draws the charts of a page with uPlot, in the page's colours, and again when a part of the page was exchanged.
(function () {
  'use strict';

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function draw(element) {
    const chart = JSON.parse(element.dataset.chart);
    const grid = { stroke: colour('--line'), width: 1 };
    const day = { stroke: colour('--text'), grid: grid, ticks: grid, space: 70, values: (_, days) => days.map(
      (at) => new Date(at * 1000).toLocaleDateString(undefined, { month: 'short', day: 'numeric', timeZone: 'UTC' })) };
    const value = { stroke: colour('--text'), grid: grid, ticks: grid, size: 60 };
    const line = { label: chart.title, stroke: colour('--accent'), width: 2, fill: colour('--fill'), points: { show: true } };
    if (chart.bars) {
      line.paths = uPlot.paths.bars({ size: [0.6, 60] });
      line.points = { show: false };
    }
    element.replaceChildren();
    new uPlot({
      width: Math.max(200, element.clientWidth), height: 170, legend: { show: false }, cursor: { show: false },
      scales: {
        x: { range: (_, from, to) => [from - 43200, to + 43200] },
        y: { range: (_, from, to) => [0, chart.unit === '%' ? 100 : Math.max(1, (to || 0) * 1.1)] },
      },
      axes: [day, value], series: [{}, line],
    }, [chart.days, chart.values], element);
    element.dataset.drawn = 'true';
  }

  function drawAll() {
    document.querySelectorAll('[data-chart]').forEach(draw);
  }

  document.addEventListener('DOMContentLoaded', drawAll);
  // What renews a page by itself asks for the page as it is now, with its filter.
  document.addEventListener('htmx:configRequest', (event) => {
    if (event.detail.elt.id === 'live') {
      event.detail.path = location.pathname + location.search;
    }
  });
  for (const event of ['htmx:afterSettle', 'htmx:oobAfterSwap']) {
    document.addEventListener(event, () => {
      document.querySelectorAll('[data-chart]:not([data-drawn])').forEach(draw);
    });
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  let waiting;
  addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
})();
