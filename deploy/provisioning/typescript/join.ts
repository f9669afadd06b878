// Lets a member join an etcd cluster through Temporal's HTTP API; nothing beside Node.js is needed at run time.
//
//   TEMPORAL_HTTP=http://temporal:7243 node join.js CLUSTER NAME PEER_URL
//
// It prints the handover as soon as the learner is added, and the outcome at the end. Run it again at any time: it
// attaches to the join that runs.
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { JoinRequest } from "./request.js";

const [cluster, name, peerUrl] = process.argv.slice(2);
if (!cluster || !name || !peerUrl || !process.env.TEMPORAL_HTTP) {
  console.error("usage: TEMPORAL_HTTP=URL node join.js CLUSTER NAME PEER_URL");
  process.exit(2);
}
const request: JoinRequest = { cluster, name, peer_urls: [peerUrl], requested_by: "a TypeScript program" };
const namespace = process.env.TEMPORAL_NAMESPACE ?? "default";
const change = `${process.env.TEMPORAL_HTTP}/api/v1/namespaces/${namespace}/workflows/memberflow:${cluster}:join:${name}`;

/** Asks Temporal, again and again for a minute while it does not answer. */
async function ask(path: string, body?: object): Promise<{ status: number; answer: any }> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (process.env.TEMPORAL_API_KEY) headers.Authorization = `Bearer ${process.env.TEMPORAL_API_KEY}`;
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      const method = body ? "POST" : "GET";
      const signal = AbortSignal.timeout(30_000);
      const response = await fetch(change + path, { method, headers, signal, body: body && JSON.stringify(body) });
      if (response.status < 500 && response.status !== 429) {
        return { status: response.status, answer: await response.json() };
      }
      if (Date.now() > deadline) throw new Error(`Temporal answers HTTP ${response.status}`);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** What the request asks for, whoever asks. */
function essence({ requested_by, peer_urls, ...rest }: JoinRequest): object {
  return { hold_before: null, launcher: null, ...rest, peer_urls: [...peer_urls].sort() };
}

async function start(): Promise<void> {
  const { status, answer } = await ask("", {
    workflowType: { name: "JoinMember" },
    taskQueue: { name: "memberflow" },
    requestId: randomUUID(),
    workflowIdConflictPolicy: "WORKFLOW_ID_CONFLICT_POLICY_FAIL",
    input: [request],
    memo: { fields: { request } },
  });
  if (status === 200) return;
  if (status !== 409) throw new Error(`Temporal refuses to start the join: ${answer.message}`);
  // It runs already. Temporal compares no requests.
  const running = (await ask("")).answer.workflowExecutionInfo.memo.fields.request;
  if (!isDeepStrictEqual(essence(running), essence(request))) {
    throw new Error(`another join of ${name} runs, with a different request: ${JSON.stringify(running)}`);
  }
}

async function handover(): Promise<object | undefined> {
  const updateId = randomUUID();
  for (;;) {
    const { status, answer } = await ask("/update/wait_until_added", {
      waitPolicy: { lifecycleStage: "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED" },
      request: { meta: { updateId }, input: {} },
    });
    // The change goes on in a new run, which has to be asked again.
    if (answer.outcome?.failure?.applicationFailureInfo?.type === "AskAgain") {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      continue;
    }
    if (status !== 200 || answer.outcome) return answer.outcome?.success?.[0];
  }
}

async function end(): Promise<any> {
  const closed = "historyEventFilterType=HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT";
  while ((await ask("?")).answer.workflowExecutionInfo.status === "WORKFLOW_EXECUTION_STATUS_RUNNING") {
    await ask(`/history?waitNewEvent=true&${closed}`);
  }
  const event = (await ask(`/history?${closed}`)).answer.history.events[0];
  const failure = event.workflowExecutionFailedEventAttributes?.failure;
  const outcome = event.workflowExecutionCompletedEventAttributes?.result[0] ?? failure?.applicationFailureInfo?.details?.[0];
  return outcome ?? { outcome: "failed", reason: failure?.message ?? event.eventType };
}

await start();
const values = await handover();
if (values) console.log(JSON.stringify(values));
const outcome = await end();
console.log(JSON.stringify(outcome));
process.exitCode = ["promoted", "already-voter"].includes(outcome.outcome) ? 0 : 1;
