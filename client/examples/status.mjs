// Shows what runs where on a Sluice server, in Node, without any code of Sluice's.
//
//   NODE_PATH=$(bazel/install-npm) node client/examples/status.mjs [HOST:PORT] [WORKSPACE]
//
// SLUICE_TLS_CA, SLUICE_TLS_CERT and SLUICE_TLS_KEY name the files of a context (`sluice login`;
// `sluice context show` says where they are); without them it speaks to a server with --insecure.
//
// Needs @grpc/grpc-js and @grpc/proto-loader, here or in NODE_PATH. The messages come from
// proto/sluice/v1; SLUICE_PROTO names the folder when it is not ../../proto from here.
//
// It shows unary calls, paging, and how to read an error: the status code and text, and the
// reason of google.rpc.ErrorInfo in grpc-status-details-bin.
// Ends with 0 when all instances serve what they are meant to, 2 when some do not, 3 on failure.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url); // unlike import, it looks in NODE_PATH too
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const here = path.dirname(fileURLToPath(import.meta.url));
const protos = process.env.SLUICE_PROTO ?? path.join(here, '..', '..', 'proto');
const server = process.argv[2] ?? process.env.SLUICE_SERVER ?? '127.0.0.1:7443';
const workspace = process.argv[3] ?? '';

const definitions = loader.loadSync(
  ['sluice/v1/fleet.proto', 'google/rpc/status.proto', 'google/rpc/error_details.proto'],
  { includeDirs: [protos, '/usr/include'], longs: String, enums: String, defaults: true });
const api = grpc.loadPackageDefinition(definitions);
const [ca, key, certificate] = ['CA', 'KEY', 'CERT'].map((name) => process.env[`SLUICE_TLS_${name}`])
  .map((name) => (name ? readFileSync(name) : null));
const credentials = ca ? grpc.credentials.createSsl(ca, key, certificate) : grpc.credentials.createInsecure();
const fleet = new api.sluice.v1.FleetService(server, credentials);

function call(method, request) {
  return new Promise((resolve, reject) => {
    const deadline = new Date(Date.now() + 30_000);
    fleet[method](request, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

/** All pages of GetStatus. */
async function statusOf(app) {
  const all = { apps: [], instances: [] };
  let pageToken = '';
  do {
    const page = await call('GetStatus', { workspace, app, withInstances: app !== '', page: { pageToken } });
    all.apps.push(...page.apps);
    all.instances.push(...page.instances);
    pageToken = page.page?.nextPageToken ?? '';
  } while (pageToken !== '');
  return all;
}

/** The reason of the closed list, such as APP_NOT_FOUND; '' when there is none. */
function reasonOf(error) {
  const [packed] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const { details } = packed ? definitions['google.rpc.Status'].deserialize(packed) : { details: [] };
  const info = details.find((any) => any.type_url.endsWith('/google.rpc.ErrorInfo'));
  return info ? definitions['google.rpc.ErrorInfo'].deserialize(info.value).reason : '';
}

async function main() {
  const { apps } = await statusOf('');
  let whole = true;
  for (const app of apps) {
    console.log(`${app.app}: released ${app.released?.name ?? 'nothing'}`);
    for (const e of app.environments) {
      const fine = e.instances === e.ok || !e.selected;
      whole &&= fine;
      console.log(`  ${fine ? '+' : '-'} ${e.environment}: ${e.selected?.name ?? '-'} on ${e.ok} of ${e.instances}`);
    }
    for (const i of (await statusOf(app.appId)).instances) {
      console.log(`    ${i.instance}: ${i.liveness.replace('LIVENESS_', '')} serves ${i.active?.name ?? '-'}, wants ${i.desired?.name ?? '-'}${i.error && `: ${i.error}`}`);
    }
  }
  process.exitCode = whole ? 0 : 2;
}

main().catch((error) => {
  console.error(`status.mjs: ${grpc.status[error.code] ?? ''} ${error.details ?? error} ${reasonOf(error)}`);
  process.exitCode = 3;
}).finally(() => fleet.close());
