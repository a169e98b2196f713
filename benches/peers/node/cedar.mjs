// aws-jwt-verify and cedar-wasm: the policy set is parsed once, the entities of an operation are ready.

import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';

import { answer, serve, workload } from './runtime.mjs';
import { verified } from './verifier.mjs';

const parsed = preparsePolicySet('rules', { staticPolicies: workload('cedar/policies.cedar') });
if (parsed.type !== 'success') throw new Error(JSON.stringify(parsed));
const operations = new Map(Object.entries(JSON.parse(workload('cedar/operations.json'))));

function allows(event, claims) {
  const operation = `${event.httpMethod} ${event.resource}`;
  const entities = operations.get(operation);
  if (entities === undefined) return false;
  const user = { type: 'User', id: claims.sub };
  const caller = {
    uid: user,
    attrs: { sub: claims.sub, claims: { tenant: claims['custom:tenant'] } },
    parents: (claims['cognito:groups'] ?? []).map((id) => ({ type: 'Role', id })),
  };
  const decided = statefulIsAuthorized({
    principal: user,
    action: { type: 'Action', id: operation },
    resource: { type: 'Route', id: event.resource },
    context: { params: event.pathParameters },
    preparsedPolicySetId: 'rules',
    entities: [caller, ...entities],
  });
  if (decided.type !== 'success') throw new Error(JSON.stringify(decided.errors));
  return decided.response.decision === 'allow';
}

serve((event) => {
  const claims = verified(event);
  return answer(event, claims, allows(event, claims));
});
