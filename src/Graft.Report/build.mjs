// Bundles the report's charts into one script that is embedded in the library.
import { build } from 'esbuild';

await build({
  entryPoints: ['src/report.js'],
  outfile: '../Graft/Reports/Assets/report.js',
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2020',
  legalComments: 'none',
});
