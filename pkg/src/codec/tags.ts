/** CBOR tags in use, as registered, and the typed arrays that have one each. */
export const TAG_DATE = 1;
export const TAG_BIG_POSITIVE = 2;
export const TAG_BIG_NEGATIVE = 3;
/** `[type name, arguments...]`: everything that has no tag of its own. */
export const TAG_OBJECT = 27;
/** Marks a value that `TAG_REFERENCE` names by its place among the marked ones. */
export const TAG_SHARED = 28;
export const TAG_REFERENCE = 29;
export const TAG_SET = 258;
export const TAG_MAP = 259;

/** Little endian, as on every platform that runs JavaScript today. Plain bytes need no tag. */
export const TYPED_ARRAYS: Readonly<Record<string, number>> = {
  Uint8ClampedArray: 68,
  Uint16Array: 69,
  Uint32Array: 70,
  BigUint64Array: 71,
  Int8Array: 72,
  Int16Array: 77,
  Int32Array: 78,
  BigInt64Array: 79,
  Float16Array: 84,
  Float32Array: 85,
  Float64Array: 86,
};

/** Containers inside containers. Deeper values are refused on both sides. */
export const DEPTH_MAX = 1000;
