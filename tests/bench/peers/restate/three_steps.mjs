// three_steps.mjs INGRESS,ADMIN SAGAS IN_FLIGHT: durable handlers of three steps, by a server that
// listens on these ports.
import { act, address, measure } from "../saga.mjs";

// The SDK wants Node.js 22 for this alone.
Promise.withResolvers ??= function withResolvers() {
  let resolve;
  let reject;
  const promise = new this((yes, no) => { resolve = yes; reject = no; });
  return { promise, resolve, reject };
};
process.env.RESTATE_LOGGING = "ERROR";
const restate = await import("@restatedev/restate-sdk");
const [ingress, admin] = address.split(",").map((port) => `http://127.0.0.1:${port}`);

const order = restate.service({
  name: "order",
  handlers: {
    run: async (context, input) => {
      for (const step of ["reserve", "charge", "ship"]) {
        await context.run(step, () => act(input));
      }
    },
  },
});
const port = await restate.serve({ services: [order], port: 0 });

async function post(url, body) {
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(body),
                                    headers: { "content-type": "application/json" } });
  const text = await answer.text();
  if (!answer.ok) {
    console.error(text);
    process.exit(1);
  }
}

await post(`${admin}/deployments`, { uri: `http://127.0.0.1:${port}` });
await measure((id) => post(`${ingress}/order/run`, id));
