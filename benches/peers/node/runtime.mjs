// What the authorizers in Node have in common: the Runtime API, the words of a request, and the answer.
//
// AWS's own client (npm `aws-lambda-ric`) needs a build of its C++ part; this loop has the same two calls on one kept
// connection.

import { readFileSync } from 'node:fs';
import http from 'node:http';

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

export const workload = (name) => readFileSync(`${process.env.PEERS_WORKLOAD}/${name}`, 'utf8');

/** One HTTP call: its status, headers and text. */
export function call(options, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const request = http.request({ ...options, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString('utf8') }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

const api = (method, path, body) => call({ host, port, agent, method, path: `/2018-06-01/runtime/invocation/${path}` }, body);

/**
 * Serves until Lambda ends the process, each invocation from the event loop anew, as AWS's client does it. In one endless
 * loop V8 of Node 20 inlines the call into WebAssembly, and aborts when it has to undo that.
 */
export function serve(handler) {
  const once = async () => {
    const next = await api('GET', 'next');
    const id = next.headers['lambda-runtime-aws-request-id'];
    try {
      await api('POST', `${id}/response`, JSON.stringify(await handler(JSON.parse(next.text))));
    } catch (error) {
      await api('POST', `${id}/error`, JSON.stringify({ errorType: error.name, errorMessage: error.message }));
    }
    setImmediate(once);
  };
  setImmediate(once);
}

/** What API Gateway answers with 401. */
export const unauthorized = () => new Error('Unauthorized');

export function bearer(event) {
  const header = event.headers.Authorization ?? '';
  if (!header.startsWith('Bearer ')) throw unauthorized();
  return header.slice('Bearer '.length);
}

export const answer = (event, claims, allowed) => ({
  principalId: claims.sub,
  policyDocument: {
    Version: '2012-10-17',
    Statement: [{ Action: 'execute-api:Invoke', Effect: allowed ? 'Allow' : 'Deny', Resource: event.methodArn }],
  },
  context: { tenant: claims['custom:tenant'], roles: JSON.stringify(claims['cognito:groups'] ?? []) },
});
