// Draws pictures: a folder for each shape, a shape of another place, size and color in each picture.
import { mkdirSync } from 'node:fs';
import sharp from 'sharp';

const shapes = {
  circle: (x, y, r) => `<circle cx="${x}" cy="${y}" r="${r}"/>`,
  square: (x, y, r) => `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}"/>`,
  triangle: (x, y, r) => `<path d="M${x} ${y - r} L${x + r} ${y + r} L${x - r} ${y + r} Z"/>`,
};
for (const [name, draw] of Object.entries(shapes)) {
  mkdirSync(`pictures/${name}`, { recursive: true });
  for (let i = 0; i < 60; i++) {
    const [x, y, r] = [24 + (i % 5), 24 + (i % 7), 10 + (i % 9)];
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="56" height="56" fill="hsl(${i * 37}, 80%, 60%)">
      <rect width="56" height="56" fill="#223"/>${draw(x, y, r)}</svg>`;
    await sharp(Buffer.from(svg)).png().toFile(`pictures/${name}/${i}.png`);
  }
}
