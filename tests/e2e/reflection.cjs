// Node's @grpc/grpc-js against a server: lists the services by reflection, loads one from the descriptors that it got,
// calls it, asks for health, and reads a refusal's details. Usage: node reflection.cjs HOST:PORT PROTO_FOLDER
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [target, root] = process.argv.slice(2);
const options = { keepCase: true, longs: String, enums: String, includeDirs: [root] };
const plain = grpc.credentials.createInsecure();
const load = (file) => grpc.loadPackageDefinition(loader.loadSync(file, options));

function reflect(request) {
  const reflection = load('grpc/reflection/v1/reflection.proto').grpc.reflection.v1;
  return new Promise((resolve, reject) => {
    const stream = new reflection.ServerReflection(target, plain).ServerReflectionInfo();
    stream.on('data', (answer) => { resolve(answer); stream.end(); });
    stream.on('error', reject);
    stream.write(request);
  });
}

const call = (client, method, request) => new Promise((resolve, reject) =>
  client[method](request, { deadline: Date.now() + 10000 }, (error, answer) => (error ? reject(error) : resolve(answer))));

async function main() {
  const listed = await reflect({ list_services: '' });
  for (const service of listed.list_services_response.service.map((s) => s.name).sort()) console.log(service);

  const files = (await reflect({ file_containing_symbol: 'sluice.v1.WorkspaceService' })).file_descriptor_response.file_descriptor_proto;
  const set = Buffer.concat(files.map((file) => {
    const size = [];
    for (let n = file.length; ; n >>>= 7) { size.push(n > 127 ? (n & 127) | 128 : n); if (n <= 127) break; }
    return Buffer.concat([Buffer.from([0x0a, ...size]), file]); // FileDescriptorSet.file
  }));
  const api = grpc.loadPackageDefinition(loader.loadFileDescriptorSetFromBuffer(set, options)).sluice.v1;
  const workspaces = await call(new api.WorkspaceService(target, plain), 'ListWorkspaces', {});
  for (const workspace of workspaces.workspaces) console.log(`workspace=${workspace.name}`);

  const health = load('grpc/health/v1/health.proto').grpc.health.v1;
  console.log(`health=${(await call(new health.Health(target, plain), 'Check', { service: 'sluice.v1.AppService' })).status}`);

  const apps = load('sluice/v1/app.proto').sluice.v1;
  try {
    await call(new apps.AppService(target, plain), 'GetApp', { app: 'ghost' });
  } catch (error) {
    const details = error.metadata.get('grpc-status-details-bin')[0];
    const reason = /APP_NOT_FOUND/.exec(details.toString('latin1'));
    console.log(`refused=${grpc.status[error.code]}:${reason}`);
  }
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
