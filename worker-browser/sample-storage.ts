import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { SampleBlock, SampleStorage } from '../shared/worker/sample-store.ts';

interface Schema extends DBSchema {
  /** Samples, each block under a key of its own. */
  blocks: { key: number; value: SampleBlock & { readonly dataset: string }; indexes: { dataset: string } };
  /** Data sets that have blocks. */
  datasets: { key: string; value: { readonly bytes: number; readonly usedMs: number } };
}

const DATABASE = 'gradcast-samples';
const VERSION = 1;

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
        database.createObjectStore('datasets');
        database.createObjectStore('blocks', { autoIncrement: true }).createIndex('dataset', 'dataset');
      },
      // A newer version of the page waits in another tab.
      blocking: () => void opened?.then((database) => database.close()),
    }));
  /** Writes come after those before, and their errors cost bytes on the network only. */
  let writing: Promise<unknown> = Promise.resolve();
  const write = (work: () => Promise<void>): void => {
    writing = writing.then(work).catch(() => undefined);
  };

  return {
    async load(dataset) {
      await writing;
      const database = await open();
      const blocks = await database.getAllFromIndex('blocks', 'dataset', dataset);
      const known = await database.get('datasets', dataset);
      if (known !== undefined) await database.put('datasets', { ...known, usedMs: now() }, dataset);
      return blocks;
    },
    save(dataset, block) {
      write(async () => {
        const database = await open();
        const { bytes = 0 } = (await database.get('datasets', dataset)) ?? {};
        const total = bytes + block.bytes.length;
        if (total > maxBytes) return;
        await makeRoom(database, dataset, maxBytes - total);
        const transaction = database.transaction(['blocks', 'datasets'], 'readwrite');
        await Promise.all([
          transaction.objectStore('blocks').add({ ...block, dataset }),
          transaction.objectStore('datasets').put({ bytes: total, usedMs: now() }, dataset),
          transaction.done,
        ]);
      });
    },
    remove(dataset) {
      write(async () => removeDataset(await open(), dataset));
    },
  };
}

/** Removes other data sets, those unused for the longest time first, until they have at most `maxBytes`. */
async function makeRoom(database: IDBPDatabase<Schema>, dataset: string, maxBytes: number): Promise<void> {
  const names = (await database.getAllKeys('datasets')).filter((name) => name !== dataset);
  const others = await Promise.all(
    names.map(async (name) => ({ name, ...(await database.get('datasets', name)) })),
  );
  let bytes = others.reduce((sum, other) => sum + (other.bytes ?? 0), 0);
  for (const other of others.sort((a, b) => (a.usedMs ?? 0) - (b.usedMs ?? 0))) {
    if (bytes <= maxBytes) return;
    bytes -= other.bytes ?? 0;
    await removeDataset(database, other.name);
  }
}

async function removeDataset(database: IDBPDatabase<Schema>, dataset: string): Promise<void> {
  const transaction = database.transaction(['blocks', 'datasets'], 'readwrite');
  const blocks = transaction.objectStore('blocks');
  for (const key of await blocks.index('dataset').getAllKeys(dataset)) await blocks.delete(key);
  await transaction.objectStore('datasets').delete(dataset);
  await transaction.done;
}
