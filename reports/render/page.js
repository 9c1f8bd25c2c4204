/* The page's own script: builds everything from the model with textContent, so no figure or name can become markup. */
'use strict';
{
  const model = JSON.parse(document.getElementById('model').textContent);
  const main = document.getElementById('main');
  const charts = [];

  const element = (tag, options = {}, ...children) => {
    const made = document.createElement(tag);
    if (options.class) made.className = options.class;
    if (options.text !== undefined) made.textContent = options.text;
    for (const [name, value] of Object.entries(options.attributes ?? {})) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const toneOf = (verdict) => {
    if (['critical', 'regression', 'error'].includes(verdict)) return 'bad';
    if (['improvement', 'pass'].includes(verdict)) return 'good';
    return ['inconclusive', 'nothing-compared'].includes(verdict) ? 'unsure' : 'quiet';
  };
  /* A long id may wrap after a slash rather than inside a word. */
  const breakable = (text) => text.split(/(?<=\/)/).flatMap((part) => [part, element('wbr')]);
  const section = (title, ...children) => {
    const made = element('section', {}, element('h2', { text: title }), ...children);
    main.append(made);
    return made;
  };

  /* `build` is asked again when the colour scheme changes. */
  const addChart = (parent, label, height, build) => {
    const canvas = element('canvas', { attributes: { role: 'img', 'aria-label': label } });
    const box = element('div', { class: 'chart' }, canvas);
    box.style.height = `${height}px`;
    parent.append(box);
    const entry = { canvas, build, chart: undefined };
    entry.draw = () => {
      entry.chart?.destroy();
      entry.chart = new Chart(canvas, build());
    };
    charts.push(entry);
    entry.draw();
    return entry;
  };
  const axis = (title, extra = {}) => ({
    title: { display: title !== '', text: title, color: color('quiet') },
    ticks: { color: color('quiet'), maxTicksLimit: 8, autoSkipPadding: 14, maxRotation: 0 },
    grid: { color: color('line') },
    ...extra,
  });
  const plot = (type, data, scales, options = {}) => ({
    type,
    data,
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      scales,
      ...options,
      plugins: { legend: { display: false }, ...options.plugins },
    },
  });
  const short = (name) => {
    const room = innerWidth < 600 ? 22 : 40;
    return name.length > room ? `…${name.slice(1 - room)}` : name;
  };

  /* A table that sorts by a click on its head and filters by a search field. */
  const addTable = (parent, columns, rows, { search, onRow } = {}) => {
    const body = element('tbody');
    const lines = rows.map((row) => {
      const line = element('tr');
      for (const column of columns) {
        const cell = element('td', { class: [column.class, column.tone?.(row)].filter(Boolean).join(' ') });
        if (column.choose && onRow) {
          const button = element('button', { attributes: { type: 'button' } });
          button.append(...breakable(column.text(row)));
          button.addEventListener('click', () => onRow(row, line));
          cell.append(button);
        } else {
          cell.append(...breakable(column.text(row)));
        }
        line.append(cell);
      }
      return { row, line };
    });
    body.append(...lines.map(({ line }) => line));
    const show = (wanted) => {
      const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
      for (const { line } of lines) {
        const text = line.textContent.toLowerCase();
        line.hidden = !words.every((word) => text.includes(word));
      }
    };
    const heads = columns.map((column) => {
      const head = element('th', { class: column.class ?? '', attributes: { scope: 'col' } });
      const button = element('button', { text: column.title, attributes: { type: 'button' } });
      let direction = -1;
      button.addEventListener('click', () => {
        direction = -direction;
        for (const other of heads) other.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', direction > 0 ? 'ascending' : 'descending');
        const key = column.sort ?? column.text;
        const known = (value) => value !== null && value !== undefined;
        lines.sort((a, b) => {
          const [left, right] = [key(a.row), key(b.row)];
          if (!known(left) || !known(right)) return Number(known(right)) - Number(known(left));
          if (typeof left === 'number') return direction * (left - right);
          return direction * String(left).localeCompare(String(right));
        });
        body.append(...lines.map(({ line }) => line));
      });
      head.append(button);
      return head;
    });
    if (search) {
      const field = element('input', { attributes: { type: 'search', placeholder: search, 'aria-label': search } });
      field.addEventListener('input', () => show(field.value));
      parent.append(field);
    }
    const table = element('table', {}, element('thead', {}, element('tr', {}, ...heads)), body);
    parent.append(element('div', { class: 'scroll' }, table));
    return lines;
  };

  const addComparison = (comparison) => {
    const part = section(`Comparison: ${comparison.title}`);
    part.append(element('p', { class: `verdict ${toneOf(comparison.verdict)}`, text: comparison.summary }));
    for (const note of comparison.notes) part.append(element('p', { class: 'unsure', text: note }));
    const moved = comparison.rows
      .filter((row) => row.change !== null && (row.low !== null || row.change !== 0))
      .slice(0, 30);
    if (moved.length > 0) {
      part.append(
        element('p', {
          class: 'quiet',
          text: `Change of the head against the base, with its interval at ${comparison.confidence}; most urgent first`,
        }),
      );
      addChart(part, 'Change by row with intervals', 70 + moved.length * 22, () => {
        const tones = moved.map((row) => color(toneOf(row.verdict)));
        const ranges = moved.map((row) => [100 * (row.low ?? row.change), 100 * (row.high ?? row.change)]);
        return plot(
          'bar',
          {
            labels: moved.map((row) => short(row.name)),
            datasets: [
              {
                type: 'scatter',
                data: moved.map((row, index) => ({ x: 100 * row.change, y: index })),
                pointBackgroundColor: tones,
                pointBorderColor: color('card'),
                pointRadius: 5,
                xAxisID: 'x',
                yAxisID: 'y',
              },
              {
                data: ranges,
                backgroundColor: tones.map((tone) => `${tone}66`),
                borderColor: tones,
                borderWidth: 1,
                barThickness: 8,
                borderSkipped: false,
                minBarLength: 2,
              },
            ],
          },
          {
            x: axis('change, %', { grid: { color: (tick) => color(tick.tick?.value === 0 ? 'text' : 'line') } }),
            y: axis('', { ticks: { color: color('text'), autoSkip: false }, grid: { display: false } }),
          },
          {
            indexAxis: 'y',
            plugins: {
              tooltip: {
                callbacks: { label: (item) => `${moved[item.dataIndex].changeText} ${moved[item.dataIndex].interval}` },
              },
            },
          },
        );
      });
    }
    const tone = (row) => toneOf(row.verdict);
    const columns = [
      { title: 'verdict', text: (row) => `${row.mark} ${row.verdict}`, tone },
      { title: 'row', class: 'name', text: (row) => row.name },
      { title: 'change', class: 'figure', text: (row) => row.changeText, sort: (row) => row.change, tone },
      { title: 'base', class: 'figure wide', text: (row) => row.base },
      { title: 'head', class: 'figure wide', text: (row) => row.head },
      { title: 'interval', class: 'wide', text: (row) => row.interval },
      { title: 'visible', class: 'wrap wide', text: (row) => row.visible },
      { title: 'why', class: 'why wide', text: (row) => row.reason },
    ];
    const [moving, still] = [[], []];
    for (const row of comparison.rows) (row.verdict === 'no-change' ? still : moving).push(row);
    if (moving.length > 0) addTable(part, columns, moving, { search: 'Search rows' });
    if (still.length === 0) return;
    const fold = element(
      'details',
      {},
      element('summary', { text: `${still.length} ${still.length === 1 ? 'row' : 'rows'} without a change` }),
    );
    part.append(fold);
    addTable(fold, columns, still, { search: 'Search rows without a change' });
  };

  const addTargets = (results) => {
    const judged = results
      .filter((result) => result.attainment?.ratio > 0)
      .sort((a, b) => a.attainment.ratio - b.attainment.ratio);
    if (judged.length === 0) return;
    const part = section('Targets');
    const met = judged.filter((result) => result.attainment.met).length;
    part.append(
      element('p', { class: 'quiet', text: `${met} of ${judged.length} met; right of 1 is better than the target` }),
    );
    addChart(part, 'Attainment of targets', 60 + judged.length * 24, () =>
      plot(
        'bar',
        {
          labels: judged.map((result) => short(result.id)),
          datasets: [
            {
              data: judged.map((result) => [1, result.attainment.ratio]),
              barThickness: 12,
              minBarLength: 2,
              backgroundColor: judged.map((result) => color(result.attainment.met ? 'good' : 'bad')),
            },
          ],
        },
        {
          x: axis('times the target', {
            type: 'logarithmic',
            min: 0.9 * Math.min(1, judged[0].attainment.ratio),
            max: 1.1 * Math.max(1, judged.at(-1).attainment.ratio),
          }),
          y: axis('', { ticks: { color: color('text'), autoSkip: false }, grid: { display: false } }),
        },
        {
          indexAxis: 'y',
          plugins: {
            tooltip: {
              callbacks: {
                label: (item) => `${judged[item.dataIndex].attainment.text} of ${judged[item.dataIndex].attainment.of}`,
              },
            },
          },
        },
      ),
    );
  };

  const histogram = (samples) => {
    const [low, high] = [Math.min(...samples), Math.max(...samples)];
    const count = Math.max(1, Math.min(30, Math.ceil(Math.sqrt(samples.length) * 1.5)));
    const width = (high - low) / count || 1;
    const bins = Array.from({ length: count }, () => 0);
    for (const value of samples) bins[Math.min(count - 1, Math.floor((value - low) / width))]++;
    return { bins, labels: bins.map((_, index) => Number((low + width * (index + 0.5)).toPrecision(4))) };
  };

  const addDetail = (part) => {
    const detail = element('div');
    part.append(detail);
    const drawn = [];
    return (result) => {
      for (const entry of drawn.splice(0)) {
        entry.chart.destroy();
        charts.splice(charts.indexOf(entry), 1);
      }
      detail.replaceChildren(element('h2', { text: `${result.title} (${result.id})` }));
      if (result.error) detail.append(element('p', { class: 'bad', text: result.error }));
      if (result.samples.length > 0) {
        const pair = element('div', { class: 'pair' });
        detail.append(pair);
        const left = element(
          'div',
          {},
          element('p', { class: 'quiet', text: `Distribution of ${result.count} samples` }),
        );
        const right = element('div', {}, element('p', { class: 'quiet', text: 'Samples in the order taken' }));
        pair.append(left, right);
        drawn.push(
          addChart(left, 'Distribution of samples', 220, () => {
            const { bins, labels } = histogram(result.samples);
            return plot(
              'bar',
              {
                labels,
                datasets: [
                  { data: bins, backgroundColor: color('accent'), categoryPercentage: 1, barPercentage: 0.95 },
                ],
              },
              { x: axis(result.unit), y: axis('samples') },
            );
          }),
        );
        drawn.push(
          addChart(right, 'Samples in time order', 220, () =>
            plot(
              'line',
              {
                labels: result.samples.map((_, index) => index + 1),
                datasets: [
                  {
                    data: result.samples,
                    borderColor: color('accent'),
                    borderWidth: 1,
                    pointRadius: 1.5,
                    pointBackgroundColor: color('accent'),
                  },
                ],
              },
              { x: axis('sample'), y: axis(result.unit) },
            ),
          ),
        );
      }
      const flags = result.flags.map((flag) =>
        element('li', {
          class: flag.met ? 'good' : 'unsure',
          text: flag.met ? `✔ ${flag.rule}` : `✖ ${flag.rule}: ${flag.advice}`,
        }),
      );
      if (flags.length > 0) detail.append(element('ul', {}, ...flags));
      const facts = [...result.counters, ...result.conditions];
      if (result.attainment) facts.unshift(['target', `${result.attainment.text} of ${result.attainment.of}`]);
      const list = element('dl');
      for (const [name, value] of facts) list.append(element('dt', { text: name }), element('dd', { text: value }));
      detail.append(list);
    };
  };

  const addResults = (results) => {
    const part = section('Results');
    const choose = addDetail(
      section('Distribution', element('p', { class: 'quiet', text: 'Choose a benchmark in the table above.' })),
    );
    const unmet = (result) => result.flags.filter((flag) => !flag.met).length;
    const pick = (result, line) => {
      for (const { line: other } of lines) other.classList.remove('chosen');
      line.classList.add('chosen');
      choose(result);
    };
    const lines = addTable(
      part,
      [
        { title: 'benchmark', class: 'name', text: (result) => result.id, choose: true },
        {
          title: 'median',
          class: 'figure',
          text: (result) => result.text,
          sort: (result) => result.value,
          tone: (result) => (result.error ? 'bad' : ''),
        },
        { title: '95 % interval', class: 'figure wide', text: (result) => result.interval },
        { title: 'CV', class: 'figure wide', text: (result) => result.cvText, sort: (result) => result.cv },
        { title: 'P95', class: 'figure wide', text: (result) => result.p95 },
        { title: 'P99', class: 'figure wide', text: (result) => result.p99 },
        {
          title: 'quality',
          text: (result) => (result.flags.length === 0 ? '' : unmet(result) === 0 ? '✔' : `✖ ${unmet(result)} of 4`),
          sort: unmet,
          tone: (result) => (unmet(result) > 0 ? 'unsure' : 'good'),
        },
        {
          title: 'target',
          text: (result) => result.attainment?.text ?? '',
          sort: (result) => result.attainment?.ratio,
          tone: (result) => (result.attainment?.met === false ? 'bad' : 'good'),
        },
      ],
      results,
      { search: 'Search benchmarks', onRow: pick },
    );
    const first = lines.find(({ row }) => row.samples.length > 0) ?? lines[0];
    if (first) pick(first.row, first.line);
  };

  document.getElementById('run').textContent = model.run ?? '';
  document.getElementById('machine').textContent = model.machine ?? '';
  main.replaceChildren();
  if (model.comparison) addComparison(model.comparison);
  addTargets(model.results);
  if (model.results.length > 0) addResults(model.results);
  if (model.fingerprint.length > 0) {
    const list = element('dl');
    for (const [name, value] of model.fingerprint)
      list.append(element('dt', { text: name }), element('dd', { text: value }));
    section('Machine and run', list);
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => charts.forEach((entry) => entry.draw()));
}
