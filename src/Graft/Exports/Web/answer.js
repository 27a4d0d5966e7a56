// What the network's numbers say, as `graft predict` says it.

const ranked = 5;

function softmax(scores) {
  const highest = Math.max(...scores);
  const powers = scores.map(score => Math.exp(score - highest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(power => power / sum);
}

/** Of classes: the first five and how probable they are. Of labels: every one, and whether it is said. Of numbers: each, and between what it lies. */
export function say(card, outputs) {
  const row = [...outputs];
  if (card.task === "numbers") {
    const numbers = row.map((value, k) => {
      const residuals = card.residuals?.[k];
      return { name: card.names[k], value, low: residuals && value + residuals[0], high: residuals && value + residuals[1] };
    });
    return { numbers, text: numbers.map(numberText).join("; ") };
  }
  const labels = card.task === "labels";
  const values = !card.scores ? row : labels ? row.map(score => 1 / (1 + Math.exp(-score))) : softmax(row);
  const all = values.map((probability, k) => ({ name: card.names[k], probability, threshold: card.thresholds?.[k] ?? 0.5 }))
    .sort((a, b) => b.probability - a.probability);
  if (!labels) return { top: all.slice(0, ranked), text: labelText(all[0]) };
  const said = all.filter(label => label.probability >= label.threshold);
  return { labels: all, said, text: said.map(labelText).join("; ") || "none of the labels" };
}

const labelText = ({ name, probability }) => `${name} ${percent(probability)}`;

/** 98.7% */
export const percent = probability => `${(100 * probability).toFixed(1)}%`;

/** Four digits that count. */
export const digits = value => `${Number(value.toPrecision(4))}`;

/** cells 17.2 (13.1 to 21.6) */
export const numberText = ({ name, value, low, high }) =>
  `${name} ${digits(value)}${low === undefined ? "" : ` (${digits(low)} to ${digits(high)})`}`;
