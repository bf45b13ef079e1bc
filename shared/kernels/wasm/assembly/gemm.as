import { outerTile, packRows, storeTile } from './tile';

// k is cut into blocks that keep a panel of b in the first-level cache, m into blocks for the second level.
// The cuts also keep the sums short, which is what keeps rounding small.
const K_BLOCK: i32 = 256;
const M_BLOCK: i32 = 64;

/** Packs k columns of four rows of a (row i at a + i * rowStep, column j at + j * colStep) into [k][4]. */
function packFour(a: usize, rowStep: usize, colStep: usize, m: i32, k: i32, to: usize): void {
  if (m == 4 && rowStep == 4) {
    for (let j = 0; j < k; ++j, a += colStep, to += 16) v128.store(to, v128.load(a));
    return;
  }
  for (let j = 0; j < k; ++j, a += colStep, to += 16) {
    for (let i = 0; i < 4; ++i) {
      store<f32>(to + ((<usize>i) << 2), i < m ? load<f32>(a + <usize>i * rowStep) : 0);
    }
  }
}

/** Packs k rows of b (row j at b + j * rowStep, its n columns colStep apart) into panels [ceil(n / 8)][k][8]. */
function packB(b: usize, rowStep: usize, colStep: usize, k: i32, n: i32, to: usize): void {
  const panelStep = (<usize>k) << 5;
  if (colStep == 4) {
    packRows(b, rowStep, k, n, to, panelStep);
    return;
  }
  for (let j = 0; j < n; j += 8, to += panelStep) {
    const width = min(8, n - j);
    for (let i = 0; i < 8; ++i) {
      let from = b + <usize>(j + i) * colStep;
      let at = to + ((<usize>i) << 2);
      for (let p = 0; p < k; ++p, from += rowStep, at += 32) store<f32>(at, i < width ? load<f32>(from) : 0);
    }
  }
}

/** Bytes that gemm needs at `scratch`. */
export function gemmScratchBytes(m: i32, n: i32, k: i32): usize {
  const depth = <usize>min(k, K_BLOCK);
  return 128 + depth * ((<usize>((n + 7) >> 3) << 5) + (<usize>M_BLOCK << 2));
}

/** out[m][n] = a b, with a given as [m][k], or [k][m] if transposeA, and b as [k][n], or [n][k] if transposeB. */
export function gemm(
  a: usize,
  b: usize,
  out: usize,
  m: i32,
  n: i32,
  k: i32,
  transposeA: bool,
  transposeB: bool,
  scratch: usize,
): void {
  const aRow: usize = transposeA ? 4 : (<usize>k) << 2;
  const aCol: usize = transposeA ? (<usize>m) << 2 : 4;
  const bRow: usize = transposeB ? 4 : (<usize>n) << 2;
  const bCol: usize = transposeB ? (<usize>k) << 2 : 4;
  const ldc = (<usize>n) << 2;
  const packedA = scratch + 128;
  const packedB = packedA + (((<usize>min(k, K_BLOCK)) * (<usize>M_BLOCK)) << 2);
  for (let k0 = 0; k0 < k; k0 += K_BLOCK) {
    const depth = min(K_BLOCK, k - k0);
    const tileStep = (<usize>depth) << 4;
    const panelStep = (<usize>depth) << 5;
    packB(b + <usize>k0 * bRow, bRow, bCol, depth, n, packedB);
    for (let m0 = 0; m0 < m; m0 += M_BLOCK) {
      const height = min(M_BLOCK, m - m0);
      let at = packedA;
      for (let i = 0; i < height; i += 4, at += tileStep) {
        packFour(a + <usize>(m0 + i) * aRow + <usize>k0 * aCol, aRow, aCol, min(4, height - i), depth, at);
      }
      let panel = packedB;
      for (let j = 0; j < n; j += 8, panel += panelStep) {
        at = packedA;
        let c = out + <usize>m0 * ldc + ((<usize>j) << 2);
        for (let i = 0; i < height; i += 4, at += tileStep, c += ldc << 2) {
          if (k0 == 0 && height - i >= 4 && n - j >= 8) {
            outerTile(at, 16, 0, 1, depth, panel, c, ldc);
          } else {
            outerTile(at, 16, 0, 1, depth, panel, scratch, 32);
            storeTile(scratch, c, ldc, min(4, height - i), min(8, n - j), k0 > 0);
          }
        }
      }
    }
  }
}
