// A real OpenID provider on loopback: `node provider.mjs PORT`.
//
// It signs with keys of its own, one for each algorithm, and each client has one of them. Access tokens for the resources
// urn:orders-api and urn:invoices-api are JWTs of RFC 9068, those for urn:partner-api too, with a MAC by a shared secret,
// and those for urn:reports-api are opaque and can be introspected. Whoever signs in is whom `login_hint` names. POST /rotate replaces all keys, as a restart with new ones would.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

// RFC 8037 calls the last but one EdDSA, RFC 9864 calls it Ed25519: a key for each name.
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];

const PEOPLE = {
  alice: { roles: ['clerk'], tenant: 'acme' },
  bob: { roles: ['auditor'], tenant: 'globex' },
  // The bundle does not let this issuer confer `admin`.
  mallory: { roles: ['admin', 'clerk'], tenant: 'acme' },
  // The bundle does not let this issuer speak for it.
  eve: { roles: ['clerk'], tenant: 'initech' },
};

function keyPair(alg) {
  switch (alg) {
    case 'ES256': return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'EdDSA':
    case 'Ed25519': return generateKeyPairSync('ed25519');
    default: return generateKeyPairSync('rsa', { modulusLength: 2048 });
  }
}

function newKeys() {
  const keys = ALGORITHMS.map((alg) => {
    const jwk = keyPair(alg).privateKey.export({ format: 'jwk' });
    return { ...jwk, alg, use: 'sig', kid: `${alg.toLowerCase()}-${randomUUID()}` };
  });
  return { keys };
}

// The algorithm that a client's name ends in: orders-es256.
function algorithmOf(clientId) {
  return ALGORITHMS.find((alg) => clientId.endsWith(`-${alg.toLowerCase()}`));
}

const clients = [
  ...ALGORITHMS.map((alg) => ({
    client_id: `orders-${alg.toLowerCase()}`,
    client_secret: 'not-a-secret-of-anybody',
    grant_types: ['authorization_code', 'client_credentials'],
    response_types: ['code'],
    redirect_uris: [`${issuer}/signed-in`],
    id_token_signed_response_alg: alg,
  })),
  // The authorizer itself, which may introspect and nothing else.
  {
    client_id: 'authorizer',
    client_secret: process.env.INTROSPECTION_SECRET,
    grant_types: [],
    response_types: [],
    redirect_uris: [],
  },
];

function resourceServer(ctx, resource, client) {
  const jwt = { accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithmOf(client.clientId) } } };
  const resources = {
    'urn:orders-api': { scope: 'orders:read orders:write', ...jwt },
    'urn:invoices-api': { scope: 'invoices:read', ...jwt },
    'urn:partner-api': {
      scope: 'orders:read',
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: 'HS256', key: Buffer.from(process.env.SHARED_SECRET) } },
    },
    'urn:reports-api': { scope: 'reports:read', accessTokenFormat: 'opaque' },
  };
  return { ...resources[resource], audience: resource, accessTokenTTL: 300 };
}

// Who signs in has granted what the client asks for: there is nobody to ask.
async function grantAll(ctx) {
  const { client, session, params } = ctx.oidc;
  const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid');
  if (params.resource) grant.addResourceScope(params.resource, params.scope);
  await grant.save();
  return grant;
}

function start(jwks) {
  const provider = new Provider(issuer, {
    clients,
    jwks,
    claims: { openid: ['sub', 'roles', 'tenant'] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomUUID()] },
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    extraTokenClaims: (ctx, token) => PEOPLE[token.accountId] ?? { roles: ['clerk'], tenant: 'acme' },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: {
        enabled: true,
        allowedPolicy: (ctx, client) => client.clientId === 'authorizer',
      },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
      revocation: { enabled: true },
    },
    findAccount: (ctx, id) => PEOPLE[id] && { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) },
    interactions: { url: (ctx, interaction) => `/sign-in/${interaction.uid}` },
    loadExistingGrant: grantAll,
    pkce: { required: () => true },
    ttl: { AccessToken: 300, ClientCredentials: 300, IdToken: 300 },
  });
  return { provider, answer: provider.callback() };
}

let { provider, answer } = start(newKeys());

async function signIn(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  await provider.interactionFinished(request, response, { login: { accountId: params.login_hint } });
}

createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    ({ provider, answer } = start(newKeys()));
    response.end();
  } else if (request.url.startsWith('/sign-in/')) {
    signIn(request, response).catch((error) => response.writeHead(500).end(String(error)));
  } else {
    answer(request, response);
  }
}).listen(port, '127.0.0.1');
