// Draws the charts of a Graft report from the JSON in the page. Text and tables are in the page already.
import * as echarts from 'echarts/core';
import { BarChart, HeatmapChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TooltipComponent, VisualMapComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';

echarts.use([BarChart, HeatmapChart, LineChart, ScatterChart, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent, SVGRenderer]);

const data = JSON.parse(document.getElementById('data').textContent);
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
const ink = dark ? '#d7dde4' : '#24303c';
const faint = dark ? '#39434f' : '#e3e8ee';
const palette = ['#1b7f5c', '#d9822b', '#3a6fb0', '#b8405e', '#7a5ab5', '#5f8d2e', '#c2a02c', '#2a9aa8', '#8c5a3c', '#66727f'];
const charts = [];

function chart(id, option) {
  const element = document.getElementById(id);
  if (!element) return;
  const made = echarts.init(element, null, { renderer: 'svg' });
  made.setOption({ color: palette, textStyle: { color: ink, fontFamily: 'inherit' }, animation: false, ...option });
  charts.push(made);
}

const axis = (more) => ({ axisLine: { lineStyle: { color: ink } }, axisLabel: { color: ink }, splitLine: { lineStyle: { color: faint } }, nameTextStyle: { color: ink }, ...more });
const legend = (more) => ({ textStyle: { color: ink }, top: 0, type: 'scroll', ...more });

// A share in per cent; another measure, such as R², as it is.
const figure = (v) => (data.measure ? Number(v).toFixed(3) : `${(100 * v).toFixed(1)}%`);
const tick = (v) => (data.measure ? v.toFixed(2) : `${(100 * v).toFixed(0)}%`);

// Any other lines: { id, name, of, x, series: [{ name, data }] }.
for (const lines of data.lines ?? []) {
  chart(lines.id, {
    tooltip: { trigger: 'axis', valueFormatter: (v) => (v === null || v === undefined ? '' : Number(v).toPrecision(4)) }, legend: legend(), grid: { left: 56, right: 16, top: 36, bottom: 44 },
    xAxis: axis({ type: 'category', data: lines.x, name: lines.of, nameLocation: 'middle', nameGap: 28 }), yAxis: axis({ type: 'value', name: lines.name, scale: true }),
    series: lines.series.map(({ name, data: values }) => ({ name, type: 'line', showSymbol: lines.x.length < 30, connectNulls: true, data: values })),
  });
}

if (data.history?.length > 0) {
  const steps = data.history.map((_, k) => k + 1);
  const line = (name, key) => ({ name, type: 'line', showSymbol: steps.length < 30, data: data.history.map((epoch) => epoch[key]) });
  chart('loss', {
    tooltip: { trigger: 'axis', valueFormatter: (v) => v.toFixed(4) }, legend: legend(), grid: { left: 56, right: 16, top: 36, bottom: 44 },
    xAxis: axis({ type: 'category', data: steps, name: 'epoch', nameLocation: 'middle', nameGap: 28 }), yAxis: axis({ type: 'value', name: 'loss' }),
    series: [line('training', 'loss'), line('validation', 'validationLoss')],
  });
  chart('accuracy', {
    tooltip: { trigger: 'axis', valueFormatter: figure }, legend: legend(), grid: { left: 56, right: 16, top: 36, bottom: 44 },
    xAxis: axis({ type: 'category', data: steps, name: 'epoch', nameLocation: 'middle', nameGap: 28 }),
    yAxis: axis({ type: 'value', name: data.measure ?? 'accuracy', scale: true, axisLabel: { color: ink, formatter: tick } }),
    series: data.measure ? [line('validation', 'validationAccuracy')] : [line('training', 'trainAccuracy'), line('validation', 'validationAccuracy')],
  });
}

if (data.grid?.length > 1) {
  chart('grid', {
    tooltip: { trigger: 'axis', valueFormatter: (v) => v.toFixed(3) }, grid: { left: 56, right: 16, top: 28, bottom: 44 },
    xAxis: axis({ type: 'category', data: data.grid.map((row) => row.c), name: 'C (weaker penalty →)', nameLocation: 'middle', nameGap: 28 }), yAxis: axis({ type: 'value', name: 'held-out loss', scale: true }),
    series: [{ name: 'held-out loss', type: 'line', data: data.grid.map((row) => row.loss), lineStyle: { color: palette[0] } }],
  });
}

if (data.probes?.length > 0) {
  chart('probes', {
    tooltip: { trigger: 'axis', valueFormatter: figure }, grid: { left: 56, right: 16, top: 28, bottom: 44 },
    xAxis: axis({ type: 'category', data: data.probes.map((probe) => probe.stage), name: 'stage, from the input on', nameLocation: 'middle', nameGap: 28 }),
    yAxis: axis({ type: 'value', name: `held-out ${data.measure ?? 'accuracy'}`, max: 1, min: data.measure ? undefined : 0, axisLabel: { color: ink, formatter: tick } }),
    series: [{ type: 'bar', data: data.probes.map((probe) => probe.accuracy), itemStyle: { color: palette[0] } }],
  });
}

for (const [k, column] of (data.scatter ?? []).entries()) {
  const values = column.points.flatMap((point) => [point[0], point[1]]);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  chart(`scatter${k}`, {
    tooltip: { formatter: (p) => (p.value[2] ? `${p.value[2]}<br>true ${p.value[0]}, predicted ${Number(p.value[1]).toPrecision(4)}` : '') }, grid: { left: 64, right: 16, top: 28, bottom: 44 },
    xAxis: axis({ type: 'value', name: 'true', nameLocation: 'middle', nameGap: 28, scale: true }), yAxis: axis({ type: 'value', name: 'predicted', scale: true }),
    series: [
      { type: 'scatter', symbolSize: 7, data: column.points, itemStyle: { color: palette[0], opacity: 0.7 } },
      { type: 'line', symbol: 'none', silent: true, data: [[least, least], [most, most]], lineStyle: { color: palette[9], type: 'dashed' } },
    ],
  });
}

if (data.confusion?.length > 0) {
  const n = data.classes.length;
  const cells = data.confusion.flatMap((row, y) => row.map((count, x) => [x, y, count]));
  const most = Math.max(1, ...cells.map((cell) => cell[2]));
  const short = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);
  chart('confusion', {
    tooltip: { formatter: (p) => `${data.classes[p.value[1]]} called ${data.classes[p.value[0]]}: ${p.value[2]}` },
    grid: { left: 100, right: 12, top: 8, bottom: n > 6 ? 96 : 56 },
    xAxis: axis({ type: 'category', data: data.classes.map(short), name: 'predicted', nameLocation: 'middle', nameGap: n > 6 ? 78 : 34, axisLabel: { color: ink, rotate: n > 6 ? 60 : 0 } }),
    yAxis: axis({ type: 'category', data: data.classes.map(short), inverse: true }),
    visualMap: { show: false, min: 0, max: most, inRange: { color: dark ? ['#1d242c', '#2c9c73'] : ['#f4f7f6', '#1b7f5c'] } },
    series: [{ type: 'heatmap', data: cells.map((value) => ({ value, label: { color: value[2] > most / 2 ? '#fff' : ink } })), label: { show: n <= 20, fontSize: n > 12 ? 9 : 12 }, itemStyle: { borderColor: dark ? '#14191f' : '#fff', borderWidth: 1 } }],
  });
}

function map(id, points) {
  const groups = data.classes.map((name, k) => ({ name, type: 'scatter', symbolSize: 7, data: points.filter((p) => p.label === k).map((p) => ({ value: [p.x, p.y], name: p.name, right: p.right })) }));
  if (points.some((p) => p.right === false)) groups.push({ name: 'wrong', type: 'scatter', symbol: 'circle', symbolSize: 13, itemStyle: { color: 'transparent', borderColor: '#d11f3a', borderWidth: 2 }, data: points.filter((p) => p.right === false).map((p) => ({ value: [p.x, p.y], name: p.name })) });
  const bare = { type: 'value', scale: true, axisLabel: { show: false }, axisTick: { show: false }, axisLine: { show: false }, splitLine: { lineStyle: { color: faint } } };
  chart(id, { tooltip: { formatter: (p) => p.name }, legend: legend(), grid: { left: 8, right: 8, top: 36, bottom: 8 }, xAxis: bare, yAxis: bare, series: groups });
}
const points = data.points ?? [];
map('pca', points.map((p) => ({ ...p, x: p.pca[0], y: p.pca[1] })));
map('tsne', points.map((p) => ({ ...p, x: p.tsne[0], y: p.tsne[1] })));

addEventListener('resize', () => charts.forEach((made) => made.resize()));
