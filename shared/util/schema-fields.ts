import type * as v from 'valibot';

/**
 * Schemas of all fields of an interface. With `satisfies`, the compiler finds a field that the schema or the interface lacks, or
 * that has another type there. Types of the package are interfaces, since those that a schema implies are long in declarations.
 * @example
 * ```ts
 * const point = v.object({ x: v.number(), y: v.number() } satisfies SchemaFields<Point>);
 * ```
 */
export type SchemaFields<T> = { readonly [Name in keyof T]-?: v.GenericSchema<unknown, T[Name]> };
