// aws-jwt-verify for the user pool, with its keys at hand.

import { CognitoJwtVerifier } from 'aws-jwt-verify';

import { bearer, unauthorized, workload } from './runtime.mjs';

const settings = JSON.parse(workload('settings.json'));
const verifier = CognitoJwtVerifier.create({
  userPoolId: settings.issuer.split('/').at(-1),
  clientId: settings.client,
  tokenUse: 'access',
});
verifier.cacheJwks(JSON.parse(workload('jwks.json')));

/** The claims of an access token of ours. */
export function verified(event) {
  const token = bearer(event);
  try {
    return verifier.verifySync(token);
  } catch {
    throw unauthorized();
  }
}
