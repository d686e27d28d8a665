/* A Capstan peer that learns the protocol from the JSON schema alone. It publishes events to a
 * topic and consumes them again: npm ci; capstan schema --format json > s.json; node peer.js */
const { readFileSync } = require("node:fs");
const { Encoder, decode, decodeMulti } = require("@msgpack/msgpack");
const { Dealer } = require("zeromq");
const ZERO = { UINT: 0, INT: 0, BOOL: false, STR: "", BIN: Buffer.alloc(0), REF: null };
/* The id of a node, in references, has 64 bits: more than a number of JavaScript holds. */
const BIG = { useBigInt64: true }, plain = new Encoder(), ofReferences = new Encoder(BIG);
const encode = (value) => Buffer.from((Array.isArray(value) ? ofReferences : plain).encode(value));
const WINDOW_MESSAGES = 64, WINDOW_BYTES = 8 << 20, BATCH = 64;

/* Of values that are msgpack already: a map whose keys are integers, and a list. */
const packMap = (pairs) => Buffer.concat([
  Buffer.from(pairs.length < 16 ? [0x80 | pairs.length] : [0xde, 0, pairs.length]),
  ...pairs.flatMap(([key, value]) => [encode(key), value])]);
const packList = (items) => Buffer.concat([
  Buffer.from([0xdc, items.length >> 8, items.length & 255]), ...items]);

class Peer {
  /* One session after the other. Credited messages stay in `unanswered` until their outcome or
   * reply comes; a new session counts from 1 and sends them again, but for the requests. */
  constructor(schema, endpoint, name, on) {
    this.rows = Object.fromEntries([...schema.messages, ...schema.records].map((r) => [r.name, r]));
    this.names = Object.fromEntries(schema.messages.map((row) => [row.id, row.name]));
    this.socket = new Dealer({ linger: 1000, receiveTimeout: 100 }); // milliseconds
    this.socket.connect(endpoint);
    this.sending = Promise.resolve(); // the socket takes one message at a time
    Object.assign(this, { version: schema.version, kinds: schema.kinds, name, on, unanswered: [],
      session: Date.now() * 1000, heartbeat: 1000, correlation: 0 });
    this.greet();
  }

  pack(row, values) {
    const fields = this.rows[row].fields.filter((field) => field.name in values);
    return packMap(fields.map(({ key, name, type, record }) => [key, type === "LIST"
      ? packList(values[name].map((item) => this.pack(record, item))) : encode(values[name])]));
  }
  unpack(row, map) {
    const one = (value) => (typeof value === "bigint" ? Number(value) : value);
    const read = ({ key, type, record }) => (type !== "LIST" ? one(map[key]) ?? ZERO[type]
      : (map[key] ?? []).map((item) => this.unpack(record, item)));
    return Object.fromEntries(this.rows[row].fields.map((field) => [field.name, read(field)]));
  }

  greet() {
    Object.assign(this, { session: this.session + 1, sentAt: Date.now(), greeted: false,
      grant: [0, 0], control: [], sequence: 0, sentBytes: 0, delivered: 0, received: 0,
      window: 0 });
    this.unanswered = this.unanswered.filter((i) => !i.request && !(i.tell && i.sequence))
      .map((i) => ({ ...i, sequence: 0 }));
    this.hello = this.post("hello", { version_min: this.version, version_max: this.version,
      name: this.name, session: this.session });
  }
  /* Queues a message; `answered` is called once, with its outcome or its reply (a user's event that
   * was passed on: null). A user's message goes to a reference, `{ target }`, or answers the
   * request of a correlation, `{ correlation }`. */
  post(name, values = {}, answered = () => {}, more = {}) {
    const { id, kind, credited_by } = this.rows[name], correlation = ++this.correlation;
    const head = this.pack("envelope",
      { message: id, kind: this.kinds[kind], correlation, ...more });
    const body = this.pack(name, values);
    const item = { bytes: Buffer.concat([head, encode(body)]), size: body.length, sequence: 0,
      correlation, request: kind === "request", answered,
      tell: kind === "event" && credited_by === "receiver" };
    (["node", "receiver"].includes(credited_by) ? this.unanswered : this.control).push(item);
    return correlation;
  }

  flush(credit = false) {
    const idle = Date.now() - this.sentAt > this.heartbeat; // or hello was lost
    if (idle && this.greeted) this.post("ping"); else if (idle) this.greet();
    const batch = this.control.splice(0), sequence = this.sequence + 1;
    for (const item of this.greeted ? this.unanswered.filter((i) => !i.sequence) : []) {
      if (batch.length >= BATCH || this.sequence >= this.grant[0] ||
          this.sentBytes + item.size > this.grant[1]) break;
      item.sequence = ++this.sequence;
      this.sentBytes += item.size;
      batch.push(item);
    }
    if (batch.length > 0 || credit) {
      const header = this.pack("link_header", { version: this.version, count: batch.length,
        sequence, credit_messages: this.delivered + WINDOW_MESSAGES,
        credit_bytes: this.received + WINDOW_BYTES });
      const bytes = Buffer.concat([header, ...batch.map((item) => item.bytes)]);
      this.sending = this.sending.then(() => this.socket.send(bytes));
      this.sentAt = Date.now();
    }
    if (batch.length >= BATCH) this.flush();
  }

  async poll() {
    this.flush();
    for (const frame of await this.socket.receive().catch(() => [])) { // [] after 100 ms
      const before = this.delivered, [head, ...rest] = decodeMulti(frame, BIG);
      for (let i = 0; i < rest.length; i += 2) {
        this.receive(this.unpack("envelope", rest[i]), rest[i + 1]);
      }
      const header = this.unpack("link_header", head);
      if (this.greeted) {
        this.grant = [header.credit_messages, header.credit_bytes].map(
          (granted, i) => Math.max(granted, this.grant[i]));
        this.window ||= this.grant[0];
        const passed = this.grant[0] - this.window; // as many are settled, in a row
        this.settle(null, (i) => i.tell && i.sequence && i.sequence <= passed);
      }
      this.flush(this.delivered > before);
    }
  }

  receive(envelope, data) {
    const { message, kind, correlation } = envelope;
    const name = this.names[message];
    if (!name) return; // of a newer version
    const body = this.unpack(name, decode(data, BIG));
    if (name === "failure") throw new Error(`peer.js: error ${body.number}: ${body.text}`);
    if (name === "not_greeted" && this.greeted) this.greet();
    if (name === "welcome" && correlation === this.hello) {
      Object.assign(this, { greeted: true, heartbeat: body.heartbeat_ms });
    }
    const user = this.rows[name].credited_by === "receiver";
    if (user || name === "deliver") { this.delivered++; this.received += data.length; }
    for (const outcome of name === "outcomes" ? body.list : []) {
      this.settle(outcome, (i) => outcome.first <= i.sequence && i.sequence <= outcome.last);
    }
    if (kind === this.kinds.reply) this.settle(body, (i) => i.correlation === correlation);
    if (this.greeted) this.on[name]?.(body, envelope);
  }
  settle(answer, matches) {
    const settled = [];
    this.unanswered = this.unanswered.filter((item) => !matches(item) || !settled.push(item));
    for (const item of settled) item.answered(answer);
  }
}

async function main({ schema, endpoint, topic, group, name, count, timeout }) {
  const results = [], events = [], seen = {}, late = Date.now() + 1000 * timeout;
  const subscribe = () => { events.length = 0; peer.post("subscribe", { topic, group }, publish); };
  const publish = () => { // every session subscribes; the first one publishes
    for (let n = results.length || peer.unanswered.length ? count : 0; n < count; n++) {
      const event = { topic, producer: name, key: Buffer.from(`key-${n % 10}`),
        sequence: Math.floor(n / 10) + 1, payload: Buffer.from(`event ${n}`) };
      peer.post("publish", event, (outcome) => results.push(outcome.result));
    }
  };
  const peer = new Peer(JSON.parse(readFileSync(schema)), endpoint, name, {
    welcome: () => peer.post("topic_ensure", { topic, sequence: 1 }, subscribe),
    deliver: ({ subscription, partition, events: list }) => {
      events.push(...list);
      const offsets = list.map(({ offset }) => offset);
      const through = [{ partition, first: Math.min(...offsets), offset: Math.max(...offsets) }];
      if (group) peer.post("acknowledge", { subscription, through });
    },
  });
  while (Math.min(results.length, events.length) < count && Date.now() < late) await peer.poll();
  peer.post("goodbye");
  peer.flush();
  await peer.sending.then(() => peer.socket.close());
  const in_order = events.every(({ key, sequence: n }) => n === (seen[key] = (seen[key] ?? 0) + 1));
  const [duplicates, rejected] = [2, 4].map((kind) => results.filter((r) => r === kind).length);
  const [answered, delivered] = [results.length, events.length];
  console.log(JSON.stringify({ answered, duplicates, rejected, delivered, in_order }));
  process.exitCode = in_order && !rejected && delivered >= count ? 0 : 1;
}
module.exports = { Peer };
const given = process.argv.slice(2).join(" ").matchAll(/--(\w+)[ =](\S+)/g);
const defaults = { schema: "s.json", endpoint: "tcp://127.0.0.1:7700", topic: "demo", group: "",
  count: 1000, name: "peer.js", timeout: 60 };
if (require.main === module) {
  main({ ...defaults, ...Object.fromEntries([...given].map((match) => match.slice(1))) });
}
