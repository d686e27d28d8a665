/* Checks the golden vectors with nothing but the JSON schema and a msgpack library, as
 * vectors_test.py does; that file says how. Usage: node vectors_test.js [PROGRAM] */
"use strict";
const { execFileSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const assert = require("node:assert");
const { decode, encode } = require("@msgpack/msgpack");

const MODES = ["all", "required", "zero"];
const options = { useBigInt64: true };

/* The library writes a BigInt at full width; what fits 32 bits is handed to it as a number. */
const integer = (value) => (value >= -(2n ** 31n) && value < 2n ** 32n ? Number(value) : value);

/* The value of a field by the rules of tests/kit/wire_sample.h. */
function valueOf(records, field, mode) {
  const key = BigInt(field.key), power = BigInt.asUintN(64, 7n ** key), n = field.key;
  if (mode === "zero") {
    return { UINT: 0, INT: 0, BOOL: false, STR: "", BIN: new Uint8Array(), REF: [0, 0],
      LIST: [] }[field.type];
  }
  return {
    UINT: () => integer(power),
    INT: () => integer(-power),
    BOOL: () => true,
    STR: () => `${field.name} é`,
    BIN: () => Uint8Array.from({ length: 3 * n }, (_, i) => i),
    REF: () => [n, n + 1, ...(n % 2 ? [] : [integer(power), n + 2])],
    LIST: () => ["all", "required"].map((m) => bodyOf(records, records[field.record], m)),
  }[field.type]();
}

/* [[key, type, value], ...]: the library's own maps have text as keys. */
function bodyOf(records, row, mode) {
  return row.fields.filter((field) => mode === "all" || field.required)
    .map((field) => [field.key, field.type, valueOf(records, field, mode)]);
}

function pack(body) {
  const head = body.length < 16 ? [0x80 | body.length] : [0xde, 0, body.length];
  return Buffer.concat([Buffer.from(head), ...body.flatMap(([key, type, value]) => [
    encode(key), type === "LIST" ? packList(value) : encode(value, options)])]);
}

function packList(items) {
  return Buffer.concat([Buffer.from([0x90 | items.length]), ...items.map(pack)]);
}

/* A body as the library reads one. */
function plain(body) {
  return Object.fromEntries(body.map(([key, type, value]) => [key, type === "LIST"
    ? value.map(plain) : value]));
}

const isType = {
  UINT: (v) => typeof v === "bigint" || Number.isInteger(v),
  INT: (v) => typeof v === "bigint" || Number.isInteger(v),
  BOOL: (v) => typeof v === "boolean",
  STR: (v) => typeof v === "string",
  BIN: (v) => v instanceof Uint8Array,
  REF: (v) => Array.isArray(v) && [2, 4].includes(v.length),
  LIST: Array.isArray,
};

/* Reads a decoded body by the schema alone: known keys, each of its type. */
function checkTypes(records, row, map) {
  for (const [key, value] of Object.entries(map)) {
    const field = row.fields.find((each) => each.key === Number(key));
    assert(field && isType[field.type](value), `${row.name}: key ${key}`);
    for (const element of field.type === "LIST" ? value : []) {
      checkTypes(records, records[field.record], element);
    }
  }
  for (const field of row.fields) {
    assert(!field.required || field.key in map, `${row.name}: ${field.name} is missing`);
  }
}

function checkRow(records, row) {
  const file = path.join(__dirname, "vectors", `${row.name}.hex`);
  const lines = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => line.split(" "));
  assert.deepStrictEqual(lines.map(([mode]) => mode), MODES, `${row.name}: lines`);
  for (const [mode, digits] of lines) {
    const wanted = bodyOf(records, row, mode), vector = Buffer.from(digits, "hex");
    assert.strictEqual(pack(wanted).toString("hex"), digits, `${row.name}, ${mode}`);
    const read = decode(vector, options);
    assert.deepEqual(read, plain(wanted), `${row.name}, ${mode}: what was read`);
    checkTypes(records, row, read);
  }
}

const program = process.argv[2] ?? process.env.CAPSTAN_PROGRAM;
const schema = JSON.parse(execFileSync(program, ["schema", "--format", "json"],
  { maxBuffer: 16 << 20 }));
const records = Object.fromEntries(schema.records.map((row) => [row.name, row]));
let passed = 0, failed = 0;
for (const row of [...schema.messages, ...schema.records]) {
  try {
    checkRow(records, row);
    passed++;
  } catch (error) {
    console.log(`FAILED ${error.message}`);
    failed++;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;
