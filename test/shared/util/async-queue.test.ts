import { describe, expect, it } from 'vitest';
import { AsyncQueue } from '../../../shared/util/async-queue.ts';

/** Takes values until the queue ends; `values` grows while it waits. */
function consume<Value>(queue: AsyncQueue<Value>): { values: Value[]; done: Promise<void> } {
  const values: Value[] = [];
  const loop = async (): Promise<void> => {
    for await (const value of queue) values.push(value);
  };
  return { values, done: loop() };
}

const nextTask = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('AsyncQueue', () => {
  it('delivers values that were pushed before the loop, in order', async () => {
    const queue = new AsyncQueue<number>();
    for (const value of [3, 1, 2]) queue.push(value);
    queue.end();
    const { values, done } = consume(queue);
    await done;
    expect(values).toEqual([3, 1, 2]);
  });

  it('wakes a waiting consumer for each value', async () => {
    const queue = new AsyncQueue<number>();
    const { values, done } = consume(queue);
    await nextTask();
    expect(values).toEqual([]);
    queue.push(1);
    await nextTask();
    expect(values).toEqual([1]);
    queue.push(2);
    queue.push(3);
    await nextTask();
    expect(values).toEqual([1, 2, 3]);
    queue.end();
    await done;
  });

  it('delivers values that are pushed while the consumer handles another one', async () => {
    const queue = new AsyncQueue<number>();
    queue.push(1);
    const values: number[] = [];
    for await (const value of queue) {
      values.push(value);
      if (value < 3) queue.push(value + 1);
      else queue.end();
      await nextTask();
    }
    expect(values).toEqual([1, 2, 3]);
  });

  it('ends a waiting loop', async () => {
    const queue = new AsyncQueue<number>();
    const { values, done } = consume(queue);
    await nextTask();
    expect(queue.isEnded).toBe(false);
    queue.end();
    expect(queue.isEnded).toBe(true);
    await done;
    expect(values).toEqual([]);
  });

  it('throws the error of fail() after the queued values', async () => {
    const queue = new AsyncQueue<number>();
    const error = new Error('lost');
    queue.push(1);
    queue.fail(error);
    expect(queue.isEnded).toBe(true);
    const { values, done } = consume(queue);
    await expect(done).rejects.toBe(error);
    expect(values).toEqual([1]);
  });

  it('throws the error of fail() in a waiting loop', async () => {
    const queue = new AsyncQueue<number>();
    const { done } = consume(queue);
    await nextTask();
    const error = new Error('lost');
    queue.fail(error);
    await expect(done).rejects.toBe(error);
  });

  it('ignores values, ends and errors after the end', async () => {
    const queue = new AsyncQueue<number>();
    queue.push(1);
    queue.end();
    queue.push(2);
    queue.fail(new Error('too late'));
    const { values, done } = consume(queue);
    await done;
    expect(values).toEqual([1]);
  });

  it('keeps the error of the first fail()', async () => {
    const queue = new AsyncQueue<number>();
    const first = new Error('first');
    queue.fail(first);
    queue.fail(new Error('second'));
    queue.end();
    await expect(consume(queue).done).rejects.toBe(first);
  });
});
