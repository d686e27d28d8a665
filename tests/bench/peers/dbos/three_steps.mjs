// three_steps.mjs DATABASE_URL SAGAS IN_FLIGHT: durable workflows of three steps, on PostgreSQL.
import { DBOS } from "@dbos-inc/dbos-sdk";

import { act, address, measure } from "../saga.mjs";

DBOS.setConfig({ name: "saga", systemDatabaseUrl: address, runAdminServer: false,
                 logLevel: "error" });
const order = DBOS.registerWorkflow(async (input) => {
  await DBOS.runStep(() => act(input), { name: "reserve" });
  await DBOS.runStep(() => act(input), { name: "charge" });
  await DBOS.runStep(() => act(input), { name: "ship" });
}, { name: "order" });
await DBOS.launch();
await measure(async (id) => {
  const handle = await DBOS.startWorkflow(order, { workflowID: id })(id);
  await handle.getResult();
});
