import { describe, expect, test } from 'vitest';
import { chooseTarget, runTarget } from '../../../coordinator/export/formats.ts';

describe('the format of a file', () => {
  test.each([
    ['model.keras', 'keras'],
    ['out/Model.ONNX', 'onnx'],
    ['model.safetensors', 'safetensors'],
    ['served/saved_model', 'savedmodel'],
    ['digits.savedmodel', 'savedmodel'],
  ])('%s is %s', (file, format) => {
    expect(chooseTarget({ file }, 'run')).toEqual({ format, file });
  });

  test('may be given, as for a folder with any name', () => {
    expect(chooseTarget({ format: 'savedmodel', file: 'served/1' }, 'run')).toEqual({
      format: 'savedmodel',
      file: 'served/1',
    });
  });

  test('has a standard name in the folder of the run', () => {
    expect(chooseTarget({ format: 'onnx' }, 'runs/a').file).toBe('runs/a/model.onnx');
    expect(chooseTarget({ format: 'savedmodel' }, 'runs/a').file).toBe('runs/a/saved_model');
  });

  test.each([
    [{}, 'Name the format with --format: keras, onnx, safetensors or savedmodel.'],
    [{ file: 'model.bin' }, 'The name model.bin does not say its format.'],
    // Only the end says it.
    [{ file: 'onnx' }, 'The name onnx does not say its format.'],
    [{ format: 'pickle' }, 'A model cannot be written as pickle.'],
    [{ format: 'onxx' }, "A model cannot be written as onxx. Did you mean 'onnx'? The formats are"],
    [{ format: 'onnx', file: 'model.keras' }, 'model.keras is the name of another format than onnx.'],
    [{ format: 'keras', file: 'model.h5' }, 'model.h5 does not end in .keras'],
  ])('%o is refused', (flags, message) => {
    expect(() => chooseTarget(flags, 'run')).toThrow(message);
  });
});

describe('--export', () => {
  test.each([
    ['onnx', 'runs/a/model.onnx'],
    ['digits.onnx', 'runs/a/digits.onnx'],
    ['./digits.onnx', './digits.onnx'],
    ['/tmp/digits.onnx', '/tmp/digits.onnx'],
    ['served/saved_model', 'served/saved_model'],
  ])('%s writes %s', (name, file) => {
    expect(runTarget(name, 'runs/a').file).toBe(file);
  });

  test('a name without a format is refused', () => {
    expect(() => runTarget('tflite', 'runs/a')).toThrow(
      '--export tflite is neither a format nor the name of a file with one.',
    );
    expect(() => runTarget('savemodel', 'runs/a')).toThrow("Did you mean 'savedmodel'? The formats are");
  });
});
