import { openDB, type DBSchema, type IDBPDatabase, type IDBPTransaction } from 'idb';
import { TASKS, type Task } from '../shared/protocol/messages.ts';
import type { SampleBlock, SampleStorage } from '../shared/worker/sample-store.ts';

interface Schema extends DBSchema {
  /** Samples, each block under a key of its own. */
  blocks: { key: number; value: SampleBlock & { readonly dataset: string }; indexes: { dataset: string } };
  /** Data sets that have blocks. */
  datasets: { key: string; value: StoredDataset };
}

interface StoredDataset {
  readonly bytes: number;
  readonly usedMs: number;
  /** Samples that blocks have: a bit for each number, by task. Several tabs may store those of one data set. */
  readonly stored: Readonly<Record<Task, Uint8Array>>;
}
type Transaction = IDBPTransaction<Schema, ('blocks' | 'datasets')[], 'readwrite'>;

const DATABASE = 'gradcast-samples';
const VERSION = 2;

/**
 * Keeps samples in IndexedDB, so that a tab that is opened again has them. Data sets that were not used for the longest time
 * make room for others. Without IndexedDB, as in some private windows, nothing is kept.
 * @param maxBytes bytes of all data sets
 * @param now time in milliseconds since 1970
 */
export function indexedDbStorage(maxBytes: number, now: () => number): SampleStorage {
  let opened: Promise<IDBPDatabase<Schema>> | null = null;
  const open = (): Promise<IDBPDatabase<Schema>> =>
    (opened ??= openDB<Schema>(DATABASE, VERSION, {
      upgrade(database) {
        // Samples of an earlier version are sent again.
        for (const store of [...database.objectStoreNames]) database.deleteObjectStore(store);
        database.createObjectStore('datasets');
        database.createObjectStore('blocks', { autoIncrement: true }).createIndex('dataset', 'dataset');
      },
      // A newer version of the page waits in another tab.
      blocking: () => void opened?.then((database) => database.close()),
    }));
  /** Writes come after those before, and their errors cost bytes on the network only. */
  let writing: Promise<unknown> = Promise.resolve();
  const write = (work: (transaction: Transaction) => Promise<void>): void => {
    writing = writing
      .then(async () => {
        const transaction = (await open()).transaction(['blocks', 'datasets'], 'readwrite');
        const working = work(transaction).catch((error: unknown) => {
          transaction.abort();
          throw error;
        });
        await Promise.all([working, transaction.done]);
      })
      .catch(() => undefined);
  };

  return {
    async load(dataset, take) {
      await writing;
      const database = await open();
      const blocks = database.transaction('blocks').store.index('dataset');
      let cursor = await blocks.openCursor(dataset);
      while (cursor !== null && take(cursor.value)) cursor = await cursor.continue();
      write(async (transaction) => {
        const datasets = transaction.objectStore('datasets');
        const known = await datasets.get(dataset);
        if (known !== undefined) await datasets.put({ ...known, usedMs: now() }, dataset);
      });
    },
    save(dataset, block) {
      write(async (transaction) => {
        const datasets = transaction.objectStore('datasets');
        const { bytes = 0, stored = NOTHING } = (await datasets.get(dataset)) ?? {};
        const added = withoutStored(block, stored);
        const total = bytes + added.bytes.length;
        if (added.bytes.length === 0 || total > maxBytes) return;
        await makeRoom(transaction, dataset, maxBytes - total);
        await transaction.objectStore('blocks').add({ ...added, dataset });
        await datasets.put({ bytes: total, usedMs: now(), stored: withNumbers(stored, added) }, dataset);
      });
    },
    remove(dataset) {
      write((transaction) => removeDataset(transaction, dataset));
    },
  };
}

const NOTHING: StoredDataset['stored'] = { train: new Uint8Array(0), evaluate: new Uint8Array(0) };
const hasBit = (bitmap: Uint8Array, bit: number): boolean =>
  ((bitmap[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;

/** Those samples of a block that are not stored. */
function withoutStored({ numbers, bytes }: SampleBlock, stored: StoredDataset['stored']): SampleBlock {
  const samples = TASKS.flatMap((task) => numbers[task].map((number) => ({ task, number })));
  const recordBytes = bytes.length / samples.length;
  const fresh = samples
    .map((sample, i) => ({ ...sample, i }))
    .filter(({ task, number }) => !hasBit(stored[task], number));
  const records = new Uint8Array(fresh.length * recordBytes);
  fresh.forEach(({ i }, at) =>
    records.set(bytes.subarray(i * recordBytes, (i + 1) * recordBytes), at * recordBytes),
  );
  const of = (task: Task): number[] =>
    fresh.filter((sample) => sample.task === task).map(({ number }) => number);
  return { numbers: { train: of('train'), evaluate: of('evaluate') }, bytes: records };
}

/** Bitmaps with the samples of a block. */
function withNumbers(
  stored: StoredDataset['stored'],
  { numbers }: Pick<SampleBlock, 'numbers'>,
): StoredDataset['stored'] {
  const bitmapOf = (task: Task): Uint8Array => {
    const last = numbers[task].reduce((most, number) => Math.max(most, number), -1);
    const bitmap = new Uint8Array(Math.max(stored[task].length, (last >> 3) + 1));
    bitmap.set(stored[task]);
    for (const number of numbers[task])
      bitmap[number >> 3] = (bitmap[number >> 3] ?? 0) | (1 << (number & 7));
    return bitmap;
  };
  return { train: bitmapOf('train'), evaluate: bitmapOf('evaluate') };
}

/** Removes other data sets, those unused for the longest time first, until they have at most `maxBytes`. */
async function makeRoom(transaction: Transaction, dataset: string, maxBytes: number): Promise<void> {
  const others: (StoredDataset & { readonly name: string })[] = [];
  let cursor = await transaction.objectStore('datasets').openCursor();
  for (; cursor !== null; cursor = await cursor.continue()) {
    if (cursor.key !== dataset) others.push({ ...cursor.value, name: cursor.key });
  }
  let bytes = others.reduce((sum, other) => sum + other.bytes, 0);
  for (const { name, bytes: own } of others.sort((a, b) => a.usedMs - b.usedMs)) {
    if (bytes <= maxBytes) return;
    bytes -= own;
    await removeDataset(transaction, name);
  }
}

async function removeDataset(transaction: Transaction, dataset: string): Promise<void> {
  const blocks = transaction.objectStore('blocks');
  for (const key of await blocks.index('dataset').getAllKeys(dataset)) await blocks.delete(key);
  await transaction.objectStore('datasets').delete(dataset);
}
