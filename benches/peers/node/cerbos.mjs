// aws-jwt-verify and the Cerbos PDP on loopback, as its Lambda extension runs it: started here, asked over a kept connection.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';

import { answer, call, serve } from './runtime.mjs';
import { verified } from './verifier.mjs';

const free = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const [port, grpc] = [await free(), await free()];
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const pdp = (method, path, body) => call({ host: '127.0.0.1', port, agent, method, path }, body);

const configuration = join(mkdtempSync(join(tmpdir(), 'cerbos-')), 'cerbos.yaml');
writeFileSync(configuration, JSON.stringify({
  server: { httpListenAddr: `127.0.0.1:${port}`, grpcListenAddr: `127.0.0.1:${grpc}`, logRequestPayloads: false },
  storage: { driver: 'disk', disk: { directory: `${process.env.PEERS_WORKLOAD}/cerbos`, watchForChanges: false } },
  telemetry: { disabled: true },
  audit: { enabled: false },
}));
const binary = join(dirname(createRequire(import.meta.url).resolve(`@cerbos/cerbos-${process.platform}-${process.arch}/package.json`)), `cerbos-${process.platform}-${process.arch}`);
const server = spawn(binary, ['server', `--config=${configuration}`, '--log-level=error'], { stdio: ['ignore', 'inherit', 'inherit'] });
server.on('exit', (code) => { throw new Error(`cerbos ended: ${code}`); });

for (const started = Date.now(); ;) {
  try {
    if ((await pdp('GET', '/_cerbos/health')).status === 200) break;
  } catch {
    if (Date.now() - started > 30_000) throw new Error('cerbos does not start');
  }
  await new Promise((resolve) => setTimeout(resolve, 2));
}
rmSync(dirname(configuration), { recursive: true });

serve(async (event) => {
  const claims = verified(event);
  const service = event.resource.split('/')[3];
  const access = event.httpMethod === 'GET' ? 'read' : 'write';
  const { tenant, user = '' } = event.pathParameters;
  const groups = claims['cognito:groups'] ?? [];
  const decided = await pdp('POST', '/api/check/resources', JSON.stringify({
    requestId: event.requestContext.requestId,
    // A principal of Cerbos has a role or more; who has none is anybody.
    principal: { id: claims.sub, roles: groups.length > 0 ? groups : ['anybody'], attr: { tenant: claims['custom:tenant'] } },
    resources: [{ actions: [access], resource: { kind: service, id: event.path, attr: { tenant, user } } }],
  }));
  if (decided.status !== 200) throw new Error(decided.text);
  return answer(event, claims, JSON.parse(decided.text).results[0].actions[access] === 'EFFECT_ALLOW');
});
