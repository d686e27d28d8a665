/* Orders at the shop of examples/own_messages/over_tcp, or is a shop that others order at:
 *   node order.js --schema s.json                    orders at the node's actor `shop`
 *   node order.js --schema s.json --name till        takes an order as the peer `till`, and ends
 *   node order.js --schema s.json --at peer/till     orders there
 * The schema is the node's own: capstan schema --to ENDPOINT --format json > s.json */
const { readFileSync } = require("node:fs");
const { Peer } = require("./peer.js");

async function main({ schema, endpoint, at, name, timeout }) {
  const over = [], late = Date.now() + 1000 * timeout;
  const items = [{ article: "screws", pieces: 100 }, { article: "nuts", pieces: 200 }];
  const order = ({ actor }) => peer.post("shop_order", { customer: "Ada", items },
    (receipt) => over.push(receipt), { target: actor });
  const sell = ({ items: sold }, { correlation }) => {
    over.push({ number: 1, pieces: sold.reduce((sum, item) => sum + item.pieces, 0) });
    peer.post("shop_receipt", over[0], undefined, { correlation });
  };
  const on = name ? { shop_order: sell, welcome: () => console.log("open") }
    : { welcome: () => peer.post("resolve", { address: at }, order) };
  const peer = new Peer(JSON.parse(readFileSync(schema)), endpoint,
    name || `order.js-${Date.now()}`, on);
  while (!over.length && Date.now() < late) await peer.poll();
  peer.post("goodbye");
  peer.flush();
  await peer.sending.then(() => peer.socket.close());
  console.log(JSON.stringify(over[0] ?? null));
  process.exitCode = over.length ? 0 : 1;
}
const given = process.argv.slice(2).join(" ").matchAll(/--(\w+)[ =](\S+)/g);
main({ schema: "s.json", endpoint: "tcp://127.0.0.1:7700", at: "shop", name: "", timeout: 60,
  ...Object.fromEntries([...given].map((match) => match.slice(1))) });
