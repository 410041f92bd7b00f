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

  // A browser opens six connections to a host at most, and a stream takes one. So a tab listens only while it is looked at;
  // the server tells it then what it missed.
  htmx.createEventSource = function (address) {
    const source = new EventTarget();
    let stream = null;
    function listen() {
      stream = new EventSource(address);
      stream.onopen = () => source.onopen && source.onopen();
      stream.onerror = (event) => {
        if (stream.readyState === EventSource.CLOSED) {
          source.close(); // htmx opens another one
        }
        if (source.onerror) {
          source.onerror(event);
        }
      };
      for (const name of ['objects', 'requests']) {
        stream.addEventListener(name, (event) => source.dispatchEvent(new MessageEvent(name, { data: event.data })));
      }
    }
    function look() {
      if (stream) {
        stream.close();
        stream = null;
      }
      if (document.visibilityState === 'visible') {
        listen();
      }
    }
    Object.defineProperty(source, 'readyState', { get: () => stream ? stream.readyState : EventSource.CONNECTING });
    source.close = () => {
      document.removeEventListener('visibilitychange', look);
      if (stream) {
        stream.close();
      }
    };
    document.addEventListener('visibilitychange', look);
    look();
    return source;
  };

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
